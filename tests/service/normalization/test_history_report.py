from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.bundle import Bundle
from models.moments import Moments
from service.history.period import Period
from service.inference.served_model import ServedModel
from service.normalization.history_report import describe_history
from tests.service.normalization.watching import judge_of, sight_of
from tests.service.observing import normal_rows

SINCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def period_of(bundle: Bundle, rows: int, *, mean: float = 0.0) -> Period:
    """A minute in which so many rows came, all within one second."""
    moments = sight_of(bundle, normal_rows(rows, mean=mean)).moments
    return Period(
        version=1,
        since=SINCE,
        until=SINCE + MINUTE,
        first_row_at=SINCE + timedelta(seconds=5),
        last_row_at=SINCE + timedelta(seconds=6),
        rows=rows,
        rows_not_finite=2,
        windows=3,
        layers=moments.of_inputs(judge_of(bundle).columns, bundle.normalization()),
    )


def test_periods_are_described_in_their_order(served: ServedModel, bundle: Bundle) -> None:
    """With their own times and counts."""
    periods = [period_of(bundle, 40), replace(period_of(bundle, 50), since=SINCE + MINUTE, until=SINCE + 2 * MINUTE)]

    report = describe_history(served, periods, judge_of(bundle))

    assert (report.model_name, report.model_version) == ("tiny", "1")
    assert [(one.since, one.until, one.rows) for one in report.periods] == [
        (SINCE, SINCE + MINUTE, 40),
        (SINCE + MINUTE, SINCE + 2 * MINUTE, 50),
    ]
    assert (report.periods[0].windows, report.periods[0].rows_not_finite) == (3, 2)


def test_a_layer_is_described_by_what_it_saw(served: ServedModel, bundle: Bundle) -> None:
    """In the units of its input, between the first row and the last one."""
    period = period_of(bundle, 40)

    (layer,) = describe_history(served, [period], judge_of(bundle)).periods[0].layers

    assert layer.name == "norm"
    assert (layer.live.since, layer.live.until) == (period.first_row_at, period.last_row_at)
    assert layer.live.mean is not None
    assert layer.live.mean.max == period.layers[0].mean.max()


def test_a_period_of_as_many_rows_as_a_window_is_judged_as_that_window_was(served: ServedModel, bundle: Bundle) -> None:
    """The moments that are stored are the same to the last bits of float64."""
    sight, judge = sight_of(bundle, normal_rows(40, mean=2.0)), judge_of(bundle)
    expected = judge.judge(sight.moments)

    drift = describe_history(served, [period_of(bundle, 40, mean=2.0)], judge).periods[0].drift

    assert expected is not None
    assert drift.score == pytest.approx(expected.score, rel=1e-6)
    assert (drift.threshold, drift.alarm, drift.first_layer) == (expected.threshold, True, "norm")


def test_a_period_of_more_rows_has_distances_and_no_score(served: ServedModel, bundle: Bundle) -> None:
    """Scores are known for windows alone."""
    found = describe_history(served, [period_of(bundle, 600, mean=1.0)], judge_of(bundle)).periods[0]

    shift = found.layers[0].drift.shift
    assert (found.drift.rows, found.drift.score, found.drift.alarm) == (600, None, None)
    assert shift is not None
    assert shift.max - shift.min > 0


def test_a_version_that_is_not_observed_now_has_its_history(served: ServedModel, bundle: Bundle) -> None:
    """Without scores, since nothing judges."""
    found = describe_history(served, [period_of(bundle, 40)], None).periods[0]

    assert (found.rows, found.drift.score, found.layers[0].drift.score) == (40, None, None)


def test_a_period_of_other_layers_tells_only_how_many_rows_it_had(served: ServedModel, bundle: Bundle) -> None:
    """A store of other models under the same names wrote it."""
    other = replace(period_of(bundle, 40), layers=(Moments(40, np.zeros(7), np.ones(7)),))

    found = describe_history(served, [other], judge_of(bundle)).periods[0]

    assert (found.rows, found.drift.rows, found.layers, found.drift.score) == (40, 40, [], None)


def test_where_there_are_no_periods_the_report_is_empty(served: ServedModel, bundle: Bundle) -> None:
    """Nothing was seen in that time."""
    report = describe_history(served, [], judge_of(bundle))

    assert report.periods == []
