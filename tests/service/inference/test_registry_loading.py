import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from models.errors import StoreError
from models.store import Store
from service.errors import NotReady
from service.inference.model_versions import VersionState
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from tests.drafts import draft
from tests.service.inference.registries import Gate, loader_of, publish, reason, refresh, states, while_loading


@pytest.mark.parametrize("error", [RuntimeError("no memory left"), MemoryError(), KeyError("x"), OSError(5, "I/O")])
def test_whatever_a_loader_raises_the_others_are_served(
    store: Store, run_threads: RunThreads, error: Exception
) -> None:
    publish(store, 3)
    load = loader_of(store, run_threads)

    def fail_on_second(name: str, number: int) -> ServedModel:
        if number == 2:
            raise error
        return load(name, number)

    registry = Registry(store, fail_on_second)

    refresh(registry)

    assert states(registry) == {("tiny", "1"): "READY", ("tiny", "2"): "UNAVAILABLE", ("tiny", "3"): "READY"}
    assert reason(registry, 2)
    assert registry.find("tiny").version == "3"


class FailingStore(Store):
    """A store of which the folders of some models can't be read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.unreadable: set[str] = set()

    def versions(self, model: str) -> list[int]:
        """Versions of a model that can be read."""
        if model in self.unreadable:
            raise StoreError(f"{model}: expected a folder that can be read")
        return super().versions(model)


@pytest.fixture
def failing(tmp_path: Path) -> FailingStore:
    """A store with version 1 of ``tiny``, which can be read so far."""
    store = FailingStore(tmp_path / "store")
    store.publish(draft())
    return store


def test_a_model_that_can_no_longer_be_read_goes_on_answering_while_others_change(
    failing: FailingStore, run_threads: RunThreads
) -> None:
    registry = Registry(failing, loader_of(failing, run_threads))
    refresh(registry)
    failing.publish(draft("other"))
    failing.unreadable.add("tiny")

    refresh(registry)

    assert states(registry) == {("other", "1"): "READY", ("tiny", "1"): "READY"}


def test_a_model_that_can_not_be_read_is_told_once(
    failing: FailingStore, run_threads: RunThreads, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(failing, loader_of(failing, run_threads))
    refresh(registry)
    failing.unreadable.add("tiny")

    for _ in range(3):
        refresh(registry)

    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == [
        "model tiny can't be read, nothing changes: tiny: expected a folder that can be read"
    ]


def test_a_version_is_told_while_it_is_loading(tiny: Store, run_threads: RunThreads) -> None:
    gate = Gate(loader_of(tiny, run_threads), 1)
    registry = Registry(tiny, gate.load)

    seen = while_loading(registry, gate, lambda: (registry.index(), registry.loaded.is_set()))

    assert seen == ([VersionState("tiny", "1", "LOADING", "")], False)
    assert states(registry) == {("tiny", "1"): "READY"}


def test_a_version_that_is_loading_is_not_ready(tiny: Store, run_threads: RunThreads) -> None:
    gate = Gate(loader_of(tiny, run_threads), 1)
    registry = Registry(tiny, gate.load)

    def asked() -> str:
        with pytest.raises(NotReady) as refusal:
            registry.find("tiny", "1")
        return str(refusal.value)

    seen = while_loading(registry, gate, asked)

    assert seen == "model 'tiny' version 1 can't be served: it is loading"


def test_what_answered_before_answers_while_a_version_is_loading(tiny: Store, run_threads: RunThreads) -> None:
    gate = Gate(loader_of(tiny, run_threads), 2)
    registry = Registry(tiny, gate.load)
    refresh(registry)
    tiny.publish(draft())

    seen = while_loading(registry, gate, lambda: registry.find("tiny").version)

    assert seen == "1"
    assert registry.find("tiny").version == "2"


def test_another_version_answers_as_soon_as_the_default_is_gone(store: Store, run_threads: RunThreads) -> None:
    gate = Gate(loader_of(store, run_threads), 3)
    registry = Registry(store, gate.load)
    publish(store, 2)
    refresh(registry)
    publish(store, 1)
    shutil.rmtree(store.bundle_path("tiny", 2))

    seen = while_loading(registry, gate, lambda: registry.find("tiny").version)

    assert seen == "1"


def test_refreshes_that_come_at_once_load_each_version_once(tiny: Store, run_threads: RunThreads) -> None:
    loaded: list[tuple[str, int]] = []
    load = loader_of(tiny, run_threads)

    def counting(name: str, number: int) -> ServedModel:
        loaded.append((name, number))
        return load(name, number)

    registry = Registry(tiny, counting)

    async def refresh_thrice() -> None:
        await asyncio.gather(*(registry.refresh() for _ in range(3)))

    asyncio.run(refresh_thrice())

    assert loaded == [("tiny", 1)]
