"""This module tests what is told of inputs that have atoms: by the report, the history, the gauges, and the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest

from models.bundle import Bundle
from models.store import Store
from service.errors import NotFound
from service.history.period import Period
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization.alarms import Alarms
from service.normalization.gauges import NormalizationCollector
from service.normalization.history import History
from service.normalization.history_report import describe_history
from service.normalization.judgement import Judgement
from service.normalization.report import describe_layer, describe_layers
from service.normalization.schemas import LayerDetail
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.shared_sights import SharedSights
from service.normalization.watcher import Watcher
from tests.drafts import draft, grounded, held_out
from tests.service.history.parts import until_true
from tests.service.inference.registries import loader_of
from tests.service.normalization.watching import Recorded, idle_watcher, judge_of, run_rows, sight_of, watching
from tests.service.observing import normal_rows

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WINDOW = 64
OFF_GROUND = 0.003
"""Next to nothing of what a layer sees, and beyond what is rounded."""


def rows_like_held_out(rows: int = WINDOW, *, value: float = 0.0) -> NDArray[np.float32]:
    """Rows with half of their values on a ground, which is the input's atom if it is 0."""
    return grounded(normal_rows(rows), seed=5, value=value)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that tests of this module share."""
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def bundle(store: Store) -> Bundle:
    """Version 1 of ``tiny``, whose input has atoms."""
    return store.publish(draft(ground=True))


@pytest.fixture(scope="module")
def plain(store: Store) -> Bundle:
    """Version 1 of ``plain``, whose input has none."""
    return store.publish(draft("plain"))


@pytest.fixture
def served(store: Store, bundle: Bundle, run_threads: RunThreads) -> ServedModel:
    """The one whose input has atoms, loaded."""
    return loader_of(store, run_threads)(bundle.manifest.name, bundle.manifest.version)


@pytest.fixture
def served_plain(store: Store, plain: Bundle, run_threads: RunThreads) -> ServedModel:
    """The other one."""
    return loader_of(store, run_threads)(plain.manifest.name, plain.manifest.version)


@pytest.fixture
def recorded() -> Recorded:
    """Keeps the windows."""
    return Recorded()


@pytest.fixture
def watcher(served: ServedModel, bundle: Bundle, recorded: Recorded) -> Iterator[Watcher]:
    """A watcher that observes every row; windows have 64."""
    with watching(recorded) as at_work:
        at_work.follow(served, bundle)
        until_true(lambda: at_work.seen(served) is not None)
        yield at_work


def window_of(bundle: Bundle, rows: NDArray[np.float32]) -> ClosedWindow:
    """A window of rows, judged."""
    sight = sight_of(bundle, rows)
    return ClosedWindow(sight, judge_of(bundle).judge(sight.moments))


def test_all_that_is_watched_is_the_layers_and_then_the_inputs(served: ServedModel) -> None:
    """The layers by themselves stay what they were."""
    names = [one.name for one in served.watched]

    assert (names, [layer.name for layer in served.layers]) == (["norm", "x"], ["norm"])


def test_the_first_layer_is_no_input() -> None:
    """Inputs are judged behind the layers."""
    judgement = Judgement([0.5, 1.0, 9.0, 8.0], threshold=5.0, num_inputs=2)

    found = (judgement.score, judgement.alarm, judgement.first_layer)

    assert found == (9.0, True, None)


def test_the_first_layer_is_named_where_inputs_moved_too() -> None:
    """Also where an input is further off."""
    judgement = Judgement([0.5, 6.0, 9.0], threshold=5.0, num_inputs=1)

    first = judgement.first_layer

    assert first == 1


def test_a_ground_that_is_left_by_little_alarms_by_the_input_alone(bundle: Bundle) -> None:
    """No mean and no variance of the layer says so."""
    window = window_of(bundle, rows_like_held_out(value=OFF_GROUND))

    judgement = window.judgement

    assert judgement is not None
    layer, of_input = judgement.scores
    assert layer < judgement.threshold < of_input
    assert (judgement.alarm, judgement.first_layer, judgement.num_inputs) == (True, None, 1)


def test_rows_like_the_held_out_ones_raise_no_alarm(bundle: Bundle) -> None:
    """Of as many values on the ground."""
    window = window_of(bundle, rows_like_held_out())

    judgement = window.judgement

    assert judgement is not None
    assert not judgement.alarm


def test_before_any_row_the_report_has_the_training_figures(served: ServedModel) -> None:
    """And nothing live."""
    shares = (grounded(held_out()) == 0).mean(axis=1)

    (found,) = describe_layers(served, idle_watcher(), "window").inputs

    assert (found.name, found.channels, found.live, found.drift) == ("x", 4, None, None)
    assert found.values is not None
    assert (found.values.min, found.values.mean, found.values.max) == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(
        (found.training.share, found.training.deviation), (shares.mean(), shares.std()), rtol=1e-12
    )


def test_an_input_without_atoms_is_not_in_the_report(served_plain: ServedModel) -> None:
    """Most have none."""
    report = describe_layers(served_plain, idle_watcher(), "window")

    assert report.inputs == []


def test_the_live_share_stands_beside_that_of_training(watcher: Watcher, served: ServedModel) -> None:
    """It is numpy's of the rows that were answered."""
    x = rows_like_held_out()
    run_rows(served, x)

    (found,) = describe_layers(served, watcher, "window").inputs

    shares = (x == 0).mean(axis=1)
    assert found.live is not None
    assert found.drift is not None
    assert found.live.rows == WINDOW
    # shares of four values are float32 numbers as they are; they are kept in deviations, in float64
    np.testing.assert_allclose((found.live.share, found.live.deviation), (shares.mean(), shares.std()), rtol=1e-9)
    shift = (shares.mean() - found.training.share) / found.training.deviation
    ratio = shares.var() / found.training.deviation**2
    # eps is 1e-8 beside a variance of a sixteenth
    np.testing.assert_allclose((found.drift.shift, found.drift.ratio), (shift, ratio), rtol=1e-6)


@pytest.mark.parametrize(("value", "alarm"), [(0.0, False), (OFF_GROUND, True)])
def test_the_report_tells_whether_an_input_moved(
    watcher: Watcher, served: ServedModel, value: float, alarm: bool
) -> None:
    """The model is as far off as it is; no layer is named, since none moved."""
    run_rows(served, rows_like_held_out(value=value))

    report = describe_layers(served, watcher, "window")

    (layer,), (found,) = report.layers, report.inputs
    assert report.drift is not None
    assert layer.drift is not None
    assert found.drift is not None
    assert (report.drift.alarm, report.drift.first_layer) == (alarm, None)
    assert (found.drift.alarm, layer.drift.alarm) == (alarm, False)
    assert report.drift.score == max(found.drift.score or 0.0, layer.drift.score or 0.0)
    assert report.drift.threshold == found.drift.threshold == layer.drift.threshold


def test_where_a_layer_moved_it_is_named(watcher: Watcher, served: ServedModel) -> None:
    """Although the input moved too."""
    run_rows(served, rows_like_held_out(value=3.0))

    report = describe_layers(served, watcher, "window")

    assert report.drift is not None
    assert (report.drift.alarm, report.drift.first_layer) == (True, "norm")


def test_inputs_are_told_over_all_rows_too(watcher: Watcher, served: ServedModel) -> None:
    """The window moved, the rows after it did not."""
    run_rows(served, rows_like_held_out(value=OFF_GROUND))
    run_rows(served, rows_like_held_out())

    (found,) = describe_layers(served, watcher, "total").inputs

    assert found.live is not None
    assert found.live.rows == 2 * WINDOW
    assert found.live.share == pytest.approx((rows_like_held_out() == 0).mean() / 2)


def test_before_a_window_is_complete_an_input_has_no_score(watcher: Watcher, served: ServedModel) -> None:
    """It could still become anything."""
    run_rows(served, rows_like_held_out(10))

    (found,) = describe_layers(served, watcher, "window").inputs

    assert found.live is not None
    assert found.drift is not None
    assert (found.live.rows, found.drift.score, found.drift.threshold, found.drift.alarm) == (10, None, None, None)


def test_one_layer_is_told_as_of_a_bundle_without_atoms(
    watcher: Watcher, served: ServedModel, served_plain: ServedModel, plain: Bundle
) -> None:
    """But for its score, which is by other held-out rows."""
    watcher.follow(served_plain, plain)
    until_true(lambda: watcher.seen(served_plain) is not None)
    x = rows_like_held_out()
    details: list[LayerDetail] = []

    for one in (served, served_plain):
        run_rows(one, x)
        details.append(describe_layer(one, "norm", watcher, "window"))

    left_out = {"live": {"since", "until"}, "drift": {"score", "threshold", "alarm"}}
    with_atoms, without = (detail.model_dump(exclude=left_out) for detail in details)
    assert with_atoms == without


def test_an_input_is_no_layer_that_could_be_asked_for(watcher: Watcher, served: ServedModel) -> None:
    """It is in the report alone."""
    run_rows(served, rows_like_held_out())

    with pytest.raises(NotFound, match=r"has no normalization layer 'x'; the nearest is 'norm'"):
        describe_layer(served, "x", watcher, "window")


def period_of(bundle: Bundle, served: ServedModel, x: NDArray[np.float32]) -> Period:
    """A minute in which rows came, all within one second."""
    return Period(
        version=1,
        since=NOON,
        until=NOON + timedelta(minutes=1),
        first_row_at=NOON + timedelta(seconds=5),
        last_row_at=NOON + timedelta(seconds=6),
        rows=len(x),
        rows_not_finite=0,
        windows=1,
        layers=sight_of(bundle, x).moments.of_inputs(judge_of(bundle).columns, served.watched),
    )


def test_a_period_tells_of_inputs_as_its_window_was_judged(served: ServedModel, bundle: Bundle) -> None:
    """The moments that are stored are the same to the last bits of float64."""
    x = rows_like_held_out(value=OFF_GROUND)
    expected = window_of(bundle, x).judgement

    (found,) = describe_history(served, [period_of(bundle, served, x)], judge_of(bundle)).periods

    (of_input,) = found.inputs
    assert expected is not None
    assert (found.drift.alarm, found.drift.first_layer) == (True, None)
    assert [layer.name for layer in found.layers] == ["norm"]
    assert (of_input.name, of_input.live.rows) == ("x", len(x))
    assert of_input.live.share == pytest.approx(0, abs=1e-9)
    assert of_input.drift.score == pytest.approx(expected.scores[1], rel=1e-6)
    assert of_input.drift.alarm is True


def test_a_period_of_before_inputs_were_watched_tells_only_how_many_rows_it_had(
    served: ServedModel, bundle: Bundle
) -> None:
    """Its figures are of the layers alone."""
    whole = period_of(bundle, served, rows_like_held_out())
    before = Period(
        **{field: getattr(whole, field) for field in Period.__dataclass_fields__} | {"layers": whole.layers[:1]}
    )

    (found,) = describe_history(served, [before], judge_of(bundle)).periods

    assert (found.rows, found.layers, found.inputs, found.drift.score) == (WINDOW, [], [], None)


def told(watcher: Watcher, served: ServedModel) -> list[str]:
    """Every gauge of an input, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(NormalizationCollector(watcher, lambda: [served], History("none", Path())))
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if line.startswith("bnserve_normalization_input_")]


@pytest.mark.parametrize(("value", "alarm"), [(0.0, 0.0), (OFF_GROUND, 1.0)])
def test_gauges_tell_of_the_last_window_by_input(
    watcher: Watcher, served: ServedModel, value: float, alarm: float
) -> None:
    """Under the input's name."""
    run_rows(served, rows_like_held_out(value=value))

    found = dict(line.rsplit(" ", 1) for line in told(watcher, served))

    (reported,) = describe_layers(served, watcher, "window").inputs
    assert reported.live is not None
    assert reported.drift is not None
    assert {name: float(text) for name, text in found.items()} == {
        f'bnserve_normalization_input_{figure}{{input="x",model="tiny",version="1"}}': expected
        for figure, expected in (
            ("share", reported.live.share),
            ("score", reported.drift.score),
            ("alarm", alarm),
        )
    }


def test_before_a_window_is_complete_no_gauge_tells_of_inputs(watcher: Watcher, served: ServedModel) -> None:
    """There is no score yet, and 0 would be one."""
    run_rows(served, rows_like_held_out(10))

    found = told(watcher, served)

    assert found == []


def test_gauges_of_layers_are_of_layers_alone(watcher: Watcher, served: ServedModel) -> None:
    """An input is none of them."""
    run_rows(served, rows_like_held_out())
    registry = CollectorRegistry()
    registry.register(NormalizationCollector(watcher, lambda: [served], History("none", Path())))

    found = generate_latest(registry).decode()

    assert 'layer="norm"' in found
    assert 'layer="x"' not in found


def test_the_log_says_that_only_an_input_moved_and_that_it_is_over(
    served: ServedModel, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """Each change once, although no layer is the first one."""
    alarms = Alarms()
    moved, unmoved = (window_of(bundle, rows_like_held_out(value=value)) for value in (OFF_GROUND, 0.0))
    assert moved.judgement is not None

    with caplog.at_level(logging.INFO):
        for window in (unmoved, moved, moved, unmoved, unmoved):
            alarms.tell(served, window)

    figures = f"score {moved.judgement.score:.1f}, threshold {moved.judgement.threshold:.1f}, over {WINDOW} rows"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"model tiny version 1: its data has moved, at input x ({figures})"),
        ("INFO", "model tiny version 1: its data is as it was in training again"),
    ]


def test_the_log_names_the_layer_where_one_moved(
    served: ServedModel, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the input did."""
    window = window_of(bundle, rows_like_held_out(value=3.0))

    Alarms().tell(served, window)

    assert "its data has moved, first at layer norm (score " in caplog.text


def test_what_another_process_judged_is_of_as_many_inputs_there(bundle: Bundle, tmp_path: Path) -> None:
    """Else the input would be taken for the last layer."""
    window = window_of(bundle, rows_like_held_out(value=OFF_GROUND))
    sight = window.sight
    sights = SharedSights(tmp_path)
    sights.show({("tiny", "1"): (Seen(1.0, WINDOW, 0, total=sight, window=window, open=sight), 0)})
    (own,) = tmp_path.glob("seen-*.npz")
    own.rename(tmp_path / "seen-0.npz")

    (found,) = sights.others(("tiny", "1"))

    assert found.window is not None
    assert found.window.judgement == window.judgement
    assert found.window.judgement is not None
    assert (found.window.judgement.num_inputs, found.window.judgement.first_layer) == (1, None)


def test_windows_that_are_recorded_judge_the_input(watcher: Watcher, served: ServedModel, recorded: Recorded) -> None:
    """Without anyone asking."""
    run_rows(served, rows_like_held_out(value=OFF_GROUND))

    until_true(lambda: recorded.rows == [WINDOW])

    judgement = recorded.windows[0][1].judgement
    assert watcher.reason(served) is None
    assert judgement is not None
    assert (len(judgement.scores), judgement.num_inputs, judgement.alarm) == (2, 1, True)
