import asyncio
import logging

import pytest

from models.store import Store
from service.errors import NotFound, NotReady
from service.inference.registry import Registry
from tests.service.inference.registries import refresh, states


def make_unreadable(store: Store) -> None:
    """Put a link to itself in the store's place: nobody can read it, whatever they may."""
    store.root.rename(store.root.with_name("elsewhere"))
    store.root.symlink_to(store.root)


def test_before_the_store_was_read_nothing_is_said_to_be_missing(registry: Registry) -> None:
    assert not registry.loaded.is_set()

    with pytest.raises(NotReady, match="the store is still being loaded"):
        registry.find("tiny")


def test_after_the_store_was_read_what_it_lacks_is_missing(registry: Registry) -> None:
    refresh(registry)

    with pytest.raises(NotFound, match="model 'tiny' is not known; there are: none"):
        registry.find("tiny")


def test_what_answered_goes_on_while_the_store_can_not_be_read(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    make_unreadable(tiny)

    refresh(registry)

    assert states(registry) == {("tiny", "1"): "READY"}


def test_a_store_that_can_not_be_read_is_told_once(
    tiny: Store, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    make_unreadable(tiny)

    for _ in range(3):
        refresh(registry)

    problems = [record.message for record in caplog.records if record.levelno > logging.INFO]
    assert len(problems) == 1
    assert problems[0].startswith("the store can't be read, nothing changes: ")
    assert not registry.loaded.is_set()


def test_nothing_is_promoted_in_a_store_that_can_not_be_read(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    make_unreadable(tiny)

    with pytest.raises(NotReady, match=r"the store can.t be read: "):
        asyncio.run(registry.promote("tiny", "1"))

    assert registry.find("tiny").version == "1"
