import asyncio
import logging
import shutil
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path

import pytest

from models.errors import StoreError
from models.pins import DEFAULT_FILE
from models.store import Store
from service.errors import Conflict, NotFound, NotReady, StoreUnwritable
from service.inference.promotion import Promotion
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from tests.service.inference.registries import (
    Gate,
    by_policy,
    damage,
    is_closed,
    loader_of,
    mend,
    publish,
    ready,
    reason,
    refresh,
)


@pytest.fixture
def latest(store: Store, run_threads: RunThreads) -> Registry:
    """Versions 1 to 4 of ``tiny``, of which 3 and 4 are loaded."""
    publish(store, 4)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    return registry


def promote(registry: Registry, version: str) -> Promotion:
    return asyncio.run(registry.promote("tiny", version))


def roll_back(registry: Registry) -> Promotion:
    return asyncio.run(registry.roll_back("tiny"))


def unpin(registry: Registry) -> Promotion:
    return asyncio.run(registry.unpin("tiny"))


def test_a_promoted_version_answers_at_once_and_the_store_knows(store: Store, latest: Registry) -> None:
    before = latest.find("tiny").version

    promotion = promote(latest, "3")

    assert (before, promotion) == ("4", Promotion("tiny", "3", "4"))
    assert latest.find("tiny").version == "3"
    assert store.pins("tiny") == (3, 4)


def test_a_promotion_is_taken_over_from_the_store(store: Store, latest: Registry, run_threads: RunThreads) -> None:
    other = by_policy(store, loader_of(store, run_threads), "latest:1")
    refresh(other)
    promote(latest, "2")

    refresh(other)

    assert other.find("tiny").version == "2"


def test_a_version_that_was_not_loaded_is_loaded_before_it_is_promoted(latest: Registry) -> None:
    before = latest.served()

    promotion = promote(latest, "1")

    assert promotion == Promotion("tiny", "1", "4")
    assert ready(latest) == ["1", "3", "4"]
    assert not any(is_closed(served) for served in before)


def test_what_answered_goes_on_while_a_promoted_version_is_loading(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    gate = Gate(loader_of(store, run_threads), 1)
    registry = by_policy(store, gate.load, "latest:1")
    refresh(registry)

    async def seen_while_loading() -> tuple[str, int | None]:
        promoting = asyncio.create_task(registry.promote("tiny", "1"))
        try:
            await gate.reached()
            return registry.find("tiny").version, store.pinned_version("tiny")
        finally:
            gate.open()
            await promoting

    seen = asyncio.run(seen_while_loading())

    assert seen == ("3", None)
    assert registry.find("tiny").version == "1"


def test_what_was_promoted_before_is_unloaded_where_the_policy_does_not_want_it(latest: Registry) -> None:
    promote(latest, "1")
    first = latest.find("tiny")

    promote(latest, "2")

    assert ready(latest) == ["2", "3", "4"]
    assert is_closed(first)


def test_promoting_what_answers_already_changes_nothing_but_that_it_stays(store: Store, latest: Registry) -> None:
    for _ in range(2):
        promotion = promote(latest, "4")

    publish(store, 1)
    refresh(latest)

    assert promotion == Promotion("tiny", "4", "4")
    assert store.pins("tiny") == (4,)
    assert latest.find("tiny").version == "4"


@pytest.mark.parametrize("version", ["5", "0", "-1", "03", "latest", "", "3.0", "9" * 30])
def test_a_version_that_the_store_lacks_is_not_found(store: Store, latest: Registry, version: str) -> None:
    with pytest.raises(NotFound) as refusal:
        promote(latest, version)

    assert str(refusal.value) == f"model 'tiny' has no version {version!r}; there are: 1, 2, 3, 4"
    assert store.pins("tiny") == ()


Change = Callable[[Registry, str], Coroutine[None, None, Promotion]]
CHANGES = [lambda registry, model: registry.promote(model, "1"), Registry.roll_back, Registry.unpin]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_the_store_lacks_is_not_found(latest: Registry, change: Change) -> None:
    known = ready(latest)

    with pytest.raises(NotFound, match="model 'huge' is not known; there are: tiny"):
        asyncio.run(change(latest, "huge"))

    assert ready(latest) == known


def test_a_version_published_just_now_is_promoted(store: Store, latest: Registry) -> None:
    publish(store, 1)

    promotion = promote(latest, "5")

    assert promotion == Promotion("tiny", "5", "4")


@pytest.mark.parametrize("version", [2, 4])
def test_a_damaged_version_is_not_promoted_and_nothing_is_written(
    store: Store, run_threads: RunThreads, version: int
) -> None:
    publish(store, 4)
    damage(store, version)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)

    with pytest.raises(NotReady) as refusal:
        promote(registry, str(version))

    assert str(refusal.value) == f"model 'tiny' version {version} can't be served: {reason(registry, version)}"
    assert reason(registry, version).startswith("model.onnx: ")
    assert store.pins("tiny") == ()
    assert registry.find("tiny").version in ("3", "4")


def test_a_version_that_failed_is_tried_again_when_it_is_promoted(store: Store, latest: Registry) -> None:
    damage(store, 2)
    with pytest.raises(NotReady):
        promote(latest, "2")
    mend(store, 2)

    promotion = promote(latest, "2")

    assert promotion == Promotion("tiny", "2", "4")


def test_rolling_back_goes_to_what_answered_before_each_promotion(store: Store, latest: Registry) -> None:
    promote(latest, "1")
    promote(latest, "3")

    steps = [roll_back(latest), roll_back(latest)]

    assert steps == [Promotion("tiny", "1", "3"), Promotion("tiny", "4", "1")]
    assert latest.find("tiny").version == "4"
    assert store.pins("tiny") == (4,)


def test_rolling_back_loads_what_was_unloaded(latest: Registry) -> None:
    promote(latest, "1")
    promote(latest, "2")

    promotion = roll_back(latest)

    assert promotion == Promotion("tiny", "1", "2")
    assert ready(latest) == ["1", "3", "4"]


def test_rolling_back_passes_over_what_is_gone(store: Store, latest: Registry) -> None:
    promote(latest, "1")
    promote(latest, "3")
    shutil.rmtree(store.bundle_path("tiny", 1))

    promotion = roll_back(latest)

    assert promotion == Promotion("tiny", "4", "3")


def test_rolling_back_to_a_damaged_version_is_refused_and_nothing_is_written(store: Store, latest: Registry) -> None:
    promote(latest, "1")
    promote(latest, "3")
    damage(store, 1)

    with pytest.raises(NotReady, match=r"version 1 can.t be served: model\.onnx: "):
        roll_back(latest)

    assert latest.find("tiny").version == "3"
    assert store.pins("tiny") == (3, 1, 4)


@pytest.mark.parametrize("text", [None, "3\n", "3\n7\n"])
def test_with_nothing_to_go_back_to_rolling_back_is_refused(store: Store, latest: Registry, text: str | None) -> None:
    if text is not None:
        (store.root / "tiny" / DEFAULT_FILE).write_text(text)

    with pytest.raises(Conflict) as refusal:
        roll_back(latest)

    assert str(refusal.value) == "rollback: expected an earlier default of model 'tiny', got none"


def test_rolling_back_by_a_damaged_file_is_refused(store: Store, latest: Registry) -> None:
    (store.root / "tiny" / DEFAULT_FILE).write_text("latest")

    with pytest.raises(Conflict) as refusal:
        roll_back(latest)

    assert str(refusal.value).endswith("tiny/default: expected the number of a version, got 'latest'")
    assert latest.find("tiny").version == "4"


def test_a_promotion_mends_a_damaged_file(store: Store, latest: Registry) -> None:
    (store.root / "tiny" / DEFAULT_FILE).write_text("latest")

    promotion = promote(latest, "3")

    assert promotion == Promotion("tiny", "3", "4")
    assert store.pins("tiny") == (3, 4)


def test_without_its_pin_the_highest_version_answers_again(store: Store, latest: Registry) -> None:
    promote(latest, "1")

    promotion = unpin(latest)

    assert promotion == Promotion("tiny", "4", "1")
    assert store.pins("tiny") == ()
    assert ready(latest) == ["3", "4"]


def test_what_is_not_pinned_may_be_unpinned(latest: Registry) -> None:
    before = latest.find("tiny")

    promotion = unpin(latest)

    assert promotion == Promotion("tiny", "4", "4")
    assert latest.find("tiny") is before


def test_unpinning_serves_a_model_whose_pinned_version_is_damaged(store: Store, run_threads: RunThreads) -> None:
    publish(store, 2)
    store.pin_version("tiny", 1)
    damage(store, 1)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)

    promotion = unpin(registry)

    assert promotion == Promotion("tiny", "2", None)
    assert registry.find("tiny").version == "2"


def test_a_model_of_which_nothing_can_be_served_stays_pinned(store: Store, run_threads: RunThreads) -> None:
    publish(store, 1)
    store.pin_version("tiny", 1)
    damage(store, 1)
    registry = by_policy(store, loader_of(store, run_threads), "all")
    refresh(registry)

    with pytest.raises(NotReady, match="has no version that can be served"):
        unpin(registry)

    assert store.pins("tiny") == (1,)


class ReadOnlyStore(Store):
    """A store whose pins can't be changed."""

    def pin_version(self, model: str, version: int, *, answered: int | None = None) -> None:
        """Refuse."""
        raise StoreError(f"{model}/{DEFAULT_FILE}: expected a file that can be written: {version}, {answered}")

    def roll_back(self, model: str, version: int) -> None:
        """Refuse."""
        raise StoreError(f"{model}/{DEFAULT_FILE}: expected a file that can be written: {version}")

    def unpin(self, model: str) -> None:
        """Refuse."""
        raise StoreError(f"{model}/{DEFAULT_FILE}: expected a file that can be written")


@pytest.mark.parametrize("change", CHANGES)
def test_a_store_that_can_not_be_written_is_told_and_what_answers_goes_on(
    tmp_path: Path, run_threads: RunThreads, change: Change
) -> None:
    writable = Store(tmp_path / "store")
    publish(writable, 4)
    writable.pin_version("tiny", 4, answered=2)
    store = ReadOnlyStore(writable.root)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)

    with pytest.raises(StoreUnwritable, match="tiny/default: expected a file that can be written"):
        asyncio.run(change(registry, "tiny"))

    assert registry.find("tiny").version == "4"
    assert ready(registry) == ["3", "4"]


def test_a_switch_is_logged(latest: Registry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    promote(latest, "3")

    assert "model tiny answers with version 3" in caplog.messages


def test_promotions_at_once_happen_one_after_another(store: Store, latest: Registry) -> None:
    async def promote_all() -> list[Promotion]:
        return await asyncio.gather(*(latest.promote("tiny", version) for version in ("1", "2", "3")))

    promotions = asyncio.run(promote_all())

    pins = [str(version) for version in store.pins("tiny")]
    assert sorted(pins) == ["1", "2", "3", "4"]
    assert {(each.version, each.previous) for each in promotions} == set(pairwise(pins))
    assert latest.find("tiny").version == pins[0]
