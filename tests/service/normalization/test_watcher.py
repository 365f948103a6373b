"""Versions are watched from when they answer until they are closed, and none of it is in a request's way."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.bundle import Bundle
from models.store import Store
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization.judgement import Judge
from service.normalization.seen import ClosedWindow
from service.normalization.shared_sights import SharedSights
from service.normalization.watcher import Watcher
from tests.drafts import draft, observing, uncalibrated
from tests.service.history.parts import until_true
from tests.service.normalization.watching import (
    DEVICE,
    EVERY_ROW,
    Recorded,
    idle_watcher,
    publish_and_load,
    run_rows,
    sight_of,
    watching,
)
from tests.service.observing import normal_rows


@pytest.fixture
def recorded() -> Recorded:
    """Keeps the windows that are closed."""
    return Recorded()


@pytest.fixture
def watcher(recorded: Recorded) -> Iterator[Watcher]:
    """A watcher of every run at work; windows have 64 rows."""
    with watching(recorded) as at_work:
        yield at_work


def observed(watcher: Watcher, served: ServedModel, bundle: Bundle) -> None:
    """Have a version watched, and wait until it is."""
    watcher.follow(served, bundle)
    until_true(lambda: watcher.seen(served) is not None)


def rows_observed(watcher: Watcher, served: ServedModel) -> int:
    seen = watcher.seen(served)
    assert seen is not None
    return seen.total.rows


def test_before_it_is_started_nothing_is_observed_and_it_says_so(served: ServedModel, bundle: Bundle) -> None:
    """A version answers before the graph that observes is opened, which takes its time."""
    watcher = idle_watcher()

    watcher.follow(served, bundle)

    found = (watcher.seen(served), watcher.judge(served), watcher.reason(served))
    assert found == (None, None, "the graph that observes is being opened")
    watcher.close()


def test_what_was_followed_before_the_start_is_opened_after_it(served: ServedModel, bundle: Bundle) -> None:
    """Nothing is forgotten."""
    watcher = idle_watcher()
    watcher.follow(served, bundle)

    watcher.start()

    until_true(lambda: watcher.seen(served) is not None)
    assert watcher.reason(served) is None
    watcher.close()


def test_rows_that_are_answered_are_seen(watcher: Watcher, served: ServedModel, bundle: Bundle) -> None:
    """At once, for whoever asks: what waits is added up first."""
    observed(watcher, served, bundle)
    x = normal_rows(30)

    answers = run_rows(served, x)

    seen = watcher.seen(served)
    assert seen is not None
    assert len(answers) == 30
    assert (seen.rows_seen, seen.total.rows) == (30, 30)
    # the graph rounds rows of another batch to float32 anew
    np.testing.assert_allclose(seen.total.moments.mean, sight_of(bundle, x).moments.mean, rtol=0, atol=1e-6)


def test_answers_are_the_same_before_and_after(watcher: Watcher, served: ServedModel, bundle: Bundle) -> None:
    """Bit by bit."""
    x = normal_rows(5)
    before = run_rows(served, x)

    observed(watcher, served, bundle)

    np.testing.assert_array_equal(run_rows(served, x), before)


def test_windows_are_recorded_as_they_are_closed(
    watcher: Watcher, recorded: Recorded, served: ServedModel, bundle: Bundle
) -> None:
    """Without anyone asking."""
    observed(watcher, served, bundle)

    run_rows(served, normal_rows(140))

    until_true(lambda: recorded.rows == [64, 64])
    assert {one.version for one, _ in recorded.windows} == {"1"}


def test_a_window_is_closed_by_time_without_anyone_asking(
    recorded: Recorded, served: ServedModel, bundle: Bundle
) -> None:
    """A model that few ask has windows too."""
    windows = type(EVERY_ROW.windows)(rows=64, seconds=0.1)
    with watching(recorded, windows=windows) as watcher:
        observed(watcher, served, bundle)

        run_rows(served, normal_rows(40))

        until_true(lambda: recorded.rows == [40])


def test_at_the_end_open_windows_are_recorded(recorded: Recorded, served: ServedModel, bundle: Bundle) -> None:
    """However few rows they have."""
    with watching(recorded) as watcher:
        observed(watcher, served, bundle)

        run_rows(served, normal_rows(3))

    assert recorded.rows == [3]


def test_a_version_that_is_closed_is_let_go_of(
    watcher: Watcher, recorded: Recorded, served: ServedModel, bundle: Bundle
) -> None:
    """Its open window is recorded."""
    observed(watcher, served, bundle)
    run_rows(served, normal_rows(3))

    served.close()

    until_true(lambda: watcher.judge(served) is None)
    until_true(lambda: recorded.rows == [3])
    assert watcher.seen(served) is None


def test_what_was_seen_is_forgotten_by_a_reset(watcher: Watcher, served: ServedModel, bundle: Bundle) -> None:
    """And rows count from there on."""
    observed(watcher, served, bundle)
    run_rows(served, normal_rows(5))

    watcher.reset(served)

    assert rows_observed(watcher, served) == 0
    run_rows(served, normal_rows(2))
    assert rows_observed(watcher, served) == 2


def test_to_reset_what_is_not_observed_changes_nothing(served: ServedModel) -> None:
    """There is nothing to forget."""
    watcher = idle_watcher()

    watcher.reset(served)

    assert watcher.seen(served) is None


@pytest.mark.parametrize(("share", "budget"), [(0.0, 0.02), (None, 0.0)])
def test_observing_can_be_off(served: ServedModel, bundle: Bundle, share: float | None, budget: float) -> None:
    """Then it costs nothing, not even memory."""
    with watching(share=share, budget=budget) as watcher:
        watcher.follow(served, bundle)

        until_true(lambda: watcher.reason(served) == "observing is off (observe_share, observe_budget)")

        assert watcher.seen(served) is None


def test_a_version_without_normalization_layers_says_so(
    watcher: Watcher, store: Store, run_threads: RunThreads
) -> None:
    """There is nothing to observe."""
    served, bundle = publish_and_load(store, run_threads, draft(layers=(), normalization=()))

    watcher.follow(served, bundle)

    until_true(lambda: watcher.reason(served) == "it has no normalization layers")


def test_a_bundle_without_a_probe_says_so(watcher: Watcher, store: Store, run_threads: RunThreads) -> None:
    """One that was made before there were probes is served as ever."""
    served, bundle = publish_and_load(store, run_threads, draft(observing=None))

    watcher.follow(served, bundle)

    until_true(lambda: watcher.reason(served) == "its bundle has no probe")
    assert len(run_rows(served, normal_rows(2))) == 2


def test_without_a_calibration_rows_are_seen_and_not_judged(
    watcher: Watcher, recorded: Recorded, store: Store, run_threads: RunThreads
) -> None:
    """As of a network that was exported without real rows."""
    served, bundle = publish_and_load(store, run_threads, draft(observing=uncalibrated()))
    observed(watcher, served, bundle)

    run_rows(served, normal_rows(64))

    until_true(lambda: recorded.rows == [64])
    assert recorded.windows[0][1].judgement is None


def broken_probe() -> bytes:
    """A probe that reads a tensor which is not there."""
    means = onnx.helper.make_tensor_value_info("normalization_probe/means", onnx.TensorProto.FLOAT, [None, 3])
    node = onnx.helper.make_node("Identity", ["nowhere"], ["normalization_probe/means"])
    return bytes(onnx.ModelProto(graph=onnx.GraphProto(node=[node], output=[means])).SerializeToString())


def test_a_probe_that_can_not_be_opened_keeps_nobody_from_answering(
    watcher: Watcher, store: Store, run_threads: RunThreads, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and the report say why nothing is observed; others are observed all the same."""
    served, bundle = publish_and_load(store, run_threads, draft(observing=replace(observing(), probe=broken_probe())))
    another, whole = publish_and_load(store, run_threads, draft("another"))

    with caplog.at_level(logging.ERROR):
        watcher.follow(served, bundle)
        observed(watcher, another, whole)

    reason = watcher.reason(served)
    assert reason is not None
    assert reason.startswith("graph: expected a graph that ONNX Runtime can load")
    assert caplog.records[0].message.startswith("model tiny version 1 is not observed: graph: expected")
    assert len(run_rows(served, normal_rows(2))) == 2


def test_a_bundle_that_is_gone_keeps_nobody_from_answering(
    watcher: Watcher, store: Store, run_threads: RunThreads
) -> None:
    """It was deleted between being loaded and being watched."""
    served, bundle = publish_and_load(store, run_threads, draft())
    shutil.rmtree(bundle.path)

    watcher.follow(served, bundle)

    until_true(lambda: "expected a file that can be read" in (watcher.reason(served) or ""))
    assert len(run_rows(served, normal_rows(2))) == 2


def test_the_budget_decides_the_share(served: ServedModel, bundle: Bundle) -> None:
    """Of a network as small as this the probe is most of the work, so few runs are observed."""
    with watching(share=None, budget=0.001) as watcher:
        observed(watcher, served, bundle)

        seen = watcher.seen(served)

    assert seen is not None
    assert 0 < seen.share < 0.05


def test_a_turn_that_fails_is_logged_and_others_follow(
    served: ServedModel, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is told of a window may fail; the next window is told of all the same."""
    recorded = Recorded()

    def record(told: ServedModel, judge: Judge, window: ClosedWindow) -> None:
        recorded(told, judge, window)
        if len(recorded.windows) == 1:
            raise OSError("no space left")

    with watching(record) as watcher:
        watcher.follow(served, bundle)
        until_true(lambda: watcher.reason(served) is None)
        run_rows(served, normal_rows(64))
        until_true(lambda: "what layers see could not be added up" in caplog.text)

        run_rows(served, normal_rows(64))

        until_true(lambda: recorded.rows == [64, 64])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Belongs to all processes of one service."""
    path = tmp_path / "shared"
    path.mkdir()
    return path


@pytest.fixture
def sharing(folder: Path) -> Iterator[Watcher]:
    """The watcher of one of several processes, at work."""
    at_work = Watcher(EVERY_ROW, DEVICE, Recorded(), SharedSights(folder))
    at_work.start()
    yield at_work
    at_work.close()


def shown_after(folder: Path, moment: float) -> bool:
    """Whether a process has shown what it saw since."""
    return any(path.stat().st_mtime > moment for path in folder.glob("seen-*.npz"))


def test_what_this_process_saw_is_not_counted_twice_where_it_is_shared(
    folder: Path, sharing: Watcher, served: ServedModel, bundle: Bundle
) -> None:
    """Its own file is for the others."""
    observed(sharing, served, bundle)
    run_rows(served, normal_rows(5))

    now = time.time()
    until_true(lambda: shown_after(folder, now))

    assert rows_observed(sharing, served) == 5


def test_what_another_process_saw_is_counted_too(
    folder: Path, sharing: Watcher, served: ServedModel, bundle: Bundle
) -> None:
    """Any of them answers for all."""
    observed(sharing, served, bundle)
    run_rows(served, normal_rows(5))
    assert rows_observed(sharing, served) == 5  # they are added up by now
    now = time.time()
    until_true(lambda: shown_after(folder, now))

    (own,) = folder.glob("seen-*.npz")

    def another_one_saw_the_same() -> bool:
        shutil.copy(own, folder / "seen-0.npz")
        return rows_observed(sharing, served) == 10

    until_true(another_one_saw_the_same)  # what is shown was added up a moment before


@pytest.mark.parametrize("asked", ["this process", "another one"])
def test_a_reset_is_obeyed_whichever_process_was_asked(
    folder: Path, sharing: Watcher, served: ServedModel, bundle: Bundle, asked: str
) -> None:
    """No client can choose its process."""
    observed(sharing, served, bundle)
    run_rows(served, normal_rows(5))

    if asked == "this process":
        sharing.reset(served)
    else:
        SharedSights(folder).reset((served.name, served.version))

    assert rows_observed(sharing, served) == 0
    run_rows(served, normal_rows(2))
    assert rows_observed(sharing, served) == 2
