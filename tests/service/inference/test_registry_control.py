import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from models.store import Store
from service.errors import NotFound, NotReady
from service.inference.control import Control
from service.inference.promotion import Promotion
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.inference.versions import EveryVersion, LatestVersions, ListedVersions, VersionPolicy, parse_policies
from tests.drafts import draft
from tests.service.inference.registries import (
    Gate,
    Load,
    by_policy,
    damage,
    is_closed,
    loader_of,
    publish,
    ready,
    reason,
    refresh,
    states,
)


@pytest.fixture
def latest(store: Store, run_threads: RunThreads) -> Registry:
    """Versions 1 to 3 of ``tiny``, of which 2 and 3 are loaded."""
    publish(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    return registry


def load(registry: Registry, policy: VersionPolicy | None = None) -> None:
    asyncio.run(registry.load("tiny", policy))


def unload(registry: Registry) -> None:
    asyncio.run(registry.unload("tiny"))


def listed(*numbers: int) -> ListedVersions:
    return ListedVersions(frozenset(numbers))


def failing_once(load: Load) -> Load:
    """A loader that works only from its second call on."""
    failures = [MemoryError("no memory left")]

    def fail_once(name: str, number: int) -> ServedModel:
        if failures:
            raise failures.pop()
        return load(name, number)

    return fail_once


def test_an_unloaded_model_answers_no_more_and_says_so(latest: Registry) -> None:
    served = latest.served()

    unload(latest)

    assert set(states(latest).values()) == {"UNAVAILABLE"}
    assert {state.reason for state in latest.index()} == {"unloaded"}
    assert all(is_closed(each) for each in served)
    with pytest.raises(NotReady, match="model 'tiny' has no version that can be served: version 1: unloaded; "):
        latest.find("tiny")
    with pytest.raises(NotReady, match="model 'tiny' version 3 can't be served: unloaded"):
        latest.find("tiny", "3")


def test_a_model_that_a_request_holds_is_closed_after_its_answer(latest: Registry) -> None:
    with latest.hold("tiny") as served:
        unload(latest)
        closed_before = is_closed(served)

    assert not closed_before
    assert is_closed(served)


def test_an_unloaded_model_stays_so_whatever_comes(store: Store, latest: Registry) -> None:
    unload(latest)
    publish(store, 1)
    store.pin_version("tiny", 1)

    refresh(latest)

    assert ready(latest) == []
    assert reason(latest, 4) == "unloaded"


def test_other_models_go_on(store: Store, latest: Registry) -> None:
    store.publish(draft("other"))
    refresh(latest)

    unload(latest)

    assert [served.name for served in latest.served()] == ["other"]


def test_an_unloaded_model_is_loaded_again(latest: Registry) -> None:
    unload(latest)

    load(latest)

    assert ready(latest) == ["2", "3"]
    assert reason(latest, 1) == "not loaded: the version policy is latest:2"


def test_unloading_twice_is_no_error(latest: Registry) -> None:
    unload(latest)

    unload(latest)

    assert ready(latest) == []


def test_loading_what_is_loaded_loads_nothing_again(latest: Registry) -> None:
    before = latest.served()

    load(latest)

    assert latest.served() == before


def test_loading_looks_at_the_store(store: Store, latest: Registry) -> None:
    publish(store, 1)

    load(latest)

    assert ready(latest) == ["3", "4"]


def test_a_model_published_just_now_is_loaded(store: Store, latest: Registry) -> None:
    store.publish(draft("new"))

    asyncio.run(latest.load("new"))

    assert latest.find("new").version == "1"


def test_loading_tries_again_what_failed(store: Store, run_threads: RunThreads) -> None:
    publish(store, 1)
    registry = Registry(store, failing_once(loader_of(store, run_threads)))
    refresh(registry)
    refresh(registry)

    load(registry)

    assert ready(registry) == ["1"]


def test_loading_what_can_not_be_served_says_why(store: Store, latest: Registry) -> None:
    for version in (1, 2, 3):
        damage(store, version)

    with pytest.raises(NotReady) as refusal:
        load(latest)

    assert str(refusal.value).startswith("model 'tiny' has no version that can be served: version 1: model.onnx: ")


@pytest.mark.parametrize("change", ["load", "unload"])
def test_a_model_that_the_store_lacks_is_not_found(latest: Registry, change: str) -> None:
    with pytest.raises(NotFound, match="model 'huge' is not known; there are: tiny"):
        asyncio.run(getattr(latest, change)("huge"))


def test_a_model_without_any_version_is_not_found(store: Store, latest: Registry) -> None:
    (store.root / "empty").mkdir()

    with pytest.raises(NotFound, match="model 'empty' is not known; there are: tiny"):
        asyncio.run(latest.load("empty"))


@pytest.mark.parametrize(
    ("policy", "versions"),
    [(EveryVersion(), ["1", "2", "3"]), (LatestVersions(1), ["3"]), (listed(1), ["1"]), (listed(1, 3), ["1", "3"])],
)
def test_a_model_is_loaded_by_a_policy_of_its_own(
    store: Store, latest: Registry, policy: VersionPolicy, versions: list[str]
) -> None:
    assert store.versions("tiny") == [1, 2, 3]
    load(latest, policy)

    refresh(latest)

    assert ready(latest) == versions
    assert latest.policy("tiny") == policy
    assert latest.find("tiny").version == versions[-1]


def test_loading_without_a_policy_goes_back_to_that_of_the_settings(latest: Registry) -> None:
    load(latest, EveryVersion())

    load(latest)

    assert ready(latest) == ["2", "3"]


def test_a_policy_that_lists_what_the_store_lacks_is_refused_and_changes_nothing(latest: Registry) -> None:
    with pytest.raises(NotFound) as refusal:
        load(latest, listed(1, 7))

    assert str(refusal.value) == "model 'tiny' has no version '7'; there are: 1, 2, 3"
    assert ready(latest) == ["2", "3"]


def test_a_policy_that_lists_only_what_is_damaged_leaves_what_answered(store: Store, latest: Registry) -> None:
    damage(store, 1)

    with pytest.raises(NotReady) as refusal:
        load(latest, listed(1))

    assert str(refusal.value).startswith(
        "model 'tiny' has no version of the policy 1 that can be served, version 3 goes on: version 1: model.onnx: "
    )
    assert latest.find("tiny").version == "3"


def test_the_promoted_version_is_loaded_whatever_the_policy(latest: Registry) -> None:
    asyncio.run(latest.promote("tiny", "2"))

    load(latest, listed(1))

    assert ready(latest) == ["1", "2"]
    assert latest.find("tiny").version == "2"


@pytest.mark.parametrize("change", [lambda r: r.promote("tiny", "3"), lambda r: r.unpin("tiny")])
def test_the_default_of_an_unloaded_model_does_not_change(
    store: Store, latest: Registry, change: Callable[[Registry], Coroutine[None, None, Promotion]]
) -> None:
    unload(latest)

    with pytest.raises(NotReady, match="model 'tiny' is unloaded; load it before you change which version answers"):
        asyncio.run(change(latest))

    assert (store.pins("tiny"), ready(latest)) == ((), [])


def test_unloading_ends_what_is_being_loaded(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    gate = Gate(loader_of(store, run_threads), 3)
    registry = by_policy(store, gate.load, "all")

    async def unload_while_loading() -> None:
        refreshing = asyncio.create_task(registry.refresh())
        await gate.reached()
        unloading = asyncio.create_task(registry.unload("tiny"))
        gate.open()
        await asyncio.gather(refreshing, unloading)

    asyncio.run(unload_while_loading())

    assert ready(registry) == []
    assert {state.reason for state in registry.index()} == {"unloaded"}


@pytest.fixture
def pair(store: Store, run_threads: RunThreads, tmp_path: Path) -> tuple[Registry, Registry]:
    """Two registries of one store that share what clients asked for, as those of two processes do."""
    publish(store, 3)
    folder = tmp_path / "control"
    folder.mkdir()
    one, other = (
        Registry(store, loader_of(store, run_threads), Control(parse_policies("latest:2"), folder / "control.json"))
        for _ in range(2)
    )
    refresh(one)
    refresh(other)
    return one, other


def test_what_one_process_unloads_another_one_unloads(pair: tuple[Registry, Registry]) -> None:
    one, other = pair
    unload(one)

    refresh(other)

    assert ready(other) == []
    assert reason(other, 3) == "unloaded"


def test_what_one_process_loads_another_one_loads_by_the_same_policy(pair: tuple[Registry, Registry]) -> None:
    one, other = pair
    unload(other)
    load(one, EveryVersion())

    refresh(other)

    assert ready(one) == ready(other) == ["1", "2", "3"]


def test_what_one_process_is_asked_to_load_another_one_tries_again(
    store: Store, run_threads: RunThreads, tmp_path: Path
) -> None:
    publish(store, 1)
    path = tmp_path / "control.json"
    one = Registry(store, loader_of(store, run_threads), Control(path=path))
    other = Registry(store, failing_once(loader_of(store, run_threads)), Control(path=path))
    refresh(one)
    refresh(other)
    load(one)

    refresh(other)

    assert ready(other) == ["1"]


def test_a_model_that_is_gone_and_comes_back_is_still_unloaded(store: Store, latest: Registry) -> None:
    unload(latest)
    shutil.rmtree(store.root / "tiny")
    refresh(latest)
    publish(store, 1)

    refresh(latest)

    assert ready(latest) == []
