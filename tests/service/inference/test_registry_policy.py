import shutil

import pytest

from models.store import Store
from service.errors import NotReady
from service.inference.model_versions import VersionState
from service.inference.run_threads import RunThreads
from tests.drafts import draft
from tests.service.inference.registries import (
    Gate,
    Recorder,
    by_policy,
    damage,
    is_closed,
    loader_of,
    mend,
    publish,
    ready,
    reason,
    refresh,
    while_loading,
)


@pytest.mark.parametrize(
    ("policies", "damaged", "pinned", "expected"),
    [
        ("all", [], None, ["1", "2", "3", "4", "5"]),
        ("latest:2", [], None, ["4", "5"]),
        ("latest:1", [], None, ["5"]),
        ("latest:9", [], None, ["1", "2", "3", "4", "5"]),
        ("1,3", [], None, ["1", "3"]),
        ("7", [], None, []),
        ("1,7", [], None, ["1"]),
        ("latest:1;tiny=latest:3", [], None, ["3", "4", "5"]),
        ("latest:1;other=all", [], None, ["5"]),
        # one that can't be served counts for none of the latest
        ("latest:2", [5], None, ["3", "4"]),
        ("latest:1", [3, 4, 5], None, ["2"]),
        ("latest:2", [1, 2, 3, 4, 5], None, []),
        ("1,3", [3], None, ["1"]),
        # the promoted one is loaded too
        ("latest:2", [], 1, ["1", "4", "5"]),
        ("latest:2", [], 5, ["4", "5"]),
        ("latest:2", [5], 2, ["2", "3", "4"]),
        ("1,3", [], 5, ["1", "3", "5"]),
        ("latest:1", [1], 1, ["5"]),
    ],
)
def test_the_versions_of_the_policy_are_loaded(
    store: Store, run_threads: RunThreads, policies: str, damaged: list[int], pinned: int | None, expected: list[str]
) -> None:
    publish(store, 5)
    for version in damaged:
        damage(store, version)
    if pinned is not None:
        store.pin_version("tiny", pinned)
    registry = by_policy(store, loader_of(store, run_threads), policies)

    refresh(registry)

    assert ready(registry) == expected


def test_only_what_is_wanted_is_loaded_the_pinned_version_first(store: Store, run_threads: RunThreads) -> None:
    publish(store, 5)
    store.pin_version("tiny", 2)
    recorder = Recorder(loader_of(store, run_threads))
    registry = by_policy(store, recorder.load, "latest:2")

    refresh(registry)

    assert recorder.asked == [2, 5, 4]


def test_a_version_that_is_not_wanted_is_listed_with_the_policy(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")

    refresh(registry)

    assert registry.index() == [
        VersionState("tiny", "1", "UNAVAILABLE", "not loaded: the version policy is latest:2"),
        VersionState("tiny", "2", "READY", ""),
        VersionState("tiny", "3", "READY", ""),
    ]


def test_a_version_that_is_not_wanted_is_refused_with_the_policy(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)

    with pytest.raises(NotReady) as refusal:
        registry.find("tiny", "1")

    assert str(refusal.value) == ("model 'tiny' version 1 can't be served: not loaded: the version policy is latest:2")


def test_a_newcomer_pushes_out_the_oldest(store: Store, run_threads: RunThreads) -> None:
    publish(store, 2)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    oldest = registry.find("tiny", "1")
    publish(store, 1)

    refresh(registry)

    assert ready(registry) == ["2", "3"]
    assert is_closed(oldest)
    assert not any(is_closed(served) for served in registry.served())


def test_a_damaged_newcomer_pushes_out_none(store: Store, run_threads: RunThreads) -> None:
    publish(store, 2)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    before = registry.served()
    publish(store, 1)
    damage(store, 3)

    refresh(registry)

    assert registry.served() == before
    assert reason(registry, 3).startswith("model.onnx: ")


def test_a_newcomer_that_is_mended_pushes_out_the_oldest(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    damage(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    mend(store, 3)

    refresh(registry)

    assert ready(registry) == ["2", "3"]
    assert reason(registry, 1) == "not loaded: the version policy is latest:2"


def test_what_is_pushed_out_answers_until_the_newcomer_does(store: Store, run_threads: RunThreads) -> None:
    publish(store, 1)
    gate = Gate(loader_of(store, run_threads), 2)
    registry = by_policy(store, gate.load, "latest:1")
    refresh(registry)
    publish(store, 1)

    seen = while_loading(registry, gate, lambda: (registry.find("tiny").version, registry.find("tiny", "1").version))

    assert seen == ("1", "1")
    assert ready(registry) == ["2"]


def test_what_is_gone_answers_until_another_version_does(store: Store, run_threads: RunThreads) -> None:
    publish(store, 2)
    gate = Gate(loader_of(store, run_threads), 1)
    registry = by_policy(store, gate.load, "latest:1")
    refresh(registry)
    shutil.rmtree(store.bundle_path("tiny", 2))

    seen = while_loading(registry, gate, lambda: registry.find("tiny").version)

    assert seen == "2"
    assert ready(registry) == ["1"]


def test_where_nothing_that_is_wanted_can_be_served_what_answered_goes_on(
    store: Store, run_threads: RunThreads
) -> None:
    publish(store, 3)
    store.pin_version("tiny", 1)
    damage(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "3")
    refresh(registry)
    store.unpin("tiny")

    refresh(registry)

    assert ready(registry) == ["1"]


def test_a_version_is_loaded_once_a_higher_one_is_gone(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    registry = by_policy(store, loader_of(store, run_threads), "latest:2")
    refresh(registry)
    shutil.rmtree(store.bundle_path("tiny", 3))

    refresh(registry)

    assert ready(registry) == ["1", "2"]
    assert registry.find("tiny").version == "2"


def test_each_model_has_its_own_policy(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    for _ in range(3):
        store.publish(draft("other"))
    registry = by_policy(store, loader_of(store, run_threads), "latest:1;other=1,2")

    refresh(registry)

    assert (ready(registry), ready(registry, "other")) == (["3"], ["1", "2"])
    assert (registry.find("tiny").version, registry.find("other").version) == ("3", "2")


def test_what_answers_goes_on_while_what_is_pinned_can_not_be_served(store: Store, run_threads: RunThreads) -> None:
    publish(store, 3)
    damage(store, 2)
    store.pin_version("tiny", 1)
    registry = by_policy(store, loader_of(store, run_threads), "latest:1")
    refresh(registry)
    store.pin_version("tiny", 2)

    refresh(registry)

    assert registry.find("tiny").version == "1"
    assert ready(registry) == ["1", "3"]
