from datetime import UTC, datetime

import numpy as np
import pytest

from models.layers import Distance, NormalizationLayer
from models.moments import Array, Moments
from service.normalization.figures import (
    WORST_CHANNELS,
    drift_arrays,
    drift_summaries,
    listed,
    live_arrays,
    live_summaries,
    summary,
)
from service.normalization.findings import Finding, LayerFinding
from service.normalization.judgement import Judgement

SINCE, UNTIL = datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31, 13, tzinfo=UTC)
ROWS = 100
THRESHOLD = 5.0


def found(mean: Array, variance: Array, *, score: float | None = 1.0) -> tuple[Finding, LayerFinding]:
    """What was found of one layer whose training mean is 0 and variance 1, with the moments of its live input."""
    channels = len(mean)
    layer = NormalizationLayer(
        name="norm",
        eps=1e-20,
        gamma=np.ones(channels),
        beta=np.zeros(channels),
        mean=np.zeros(channels),
        variance=np.ones(channels),
    )
    moments = Moments(ROWS, mean, ROWS * variance)
    judgement = None if score is None else Judgement([score], THRESHOLD)
    one = LayerFinding(moments, Distance.between(layer, moments), score)
    return Finding(rows=ROWS, since=SINCE, until=UNTIL, judgement=judgement, layers=(one,)), one


def test_a_summary_is_of_the_channels_that_are_known() -> None:
    """Neither those that can't be observed nor what is beyond all bounds make the others unknown."""
    values = np.array([1.0, np.nan, 4.0, np.inf, -2.0])

    found = summary(values)

    assert found is not None
    assert (found.min, found.mean, found.max) == (-2.0, 1.0, 4.0)


def test_where_no_channel_is_known_there_is_no_summary() -> None:
    """JSON has no NaN."""
    values = np.array([np.nan, np.inf])

    found = summary(values)

    assert found is None


def test_a_list_has_a_place_for_every_channel() -> None:
    """Null where the figure is not known."""
    values = np.array([1.0, np.nan, np.inf])

    found = listed(values)

    assert found == [1.0, None, None]


def test_both_forms_of_what_was_seen_have_its_rows_and_times() -> None:
    """And one the summaries of the other's lists."""
    finding, layer = found(np.array([0.5, np.nan]), np.array([2.0, np.nan]))

    forms = (live_summaries(finding, layer), live_arrays(finding, layer))

    assert [(form.rows, form.since, form.until) for form in forms] == [(ROWS, SINCE, UNTIL)] * 2
    assert forms[0].mean == summary(layer.moments.mean)
    assert (forms[1].mean, forms[1].variance) == ([0.5, None], [2.0, None])


@pytest.mark.parametrize(("score", "alarm"), [(4.0, False), (6.0, True)])
def test_a_layer_alarms_beyond_the_threshold_of_all(score: float, alarm: bool) -> None:
    """There is one threshold, since scores of all layers are alike."""
    finding, layer = found(np.zeros(2), np.ones(2), score=score)

    for form in (drift_summaries(finding, layer), drift_arrays(finding, layer)):
        assert (form.score, form.threshold, form.alarm) == (score, THRESHOLD, alarm)


def test_what_could_not_be_judged_neither_alarms_nor_does_not() -> None:
    """It has its distances all the same."""
    finding, layer = found(np.array([0.5]), np.array([2.0]), score=None)

    form = drift_summaries(finding, layer)

    assert (form.score, form.threshold, form.alarm) == (None, None, None)
    assert form.shift is not None
    assert form.shift.mean == 0.5


def test_channels_that_can_not_be_observed_are_counted() -> None:
    """They are in no list of the worst."""
    finding, layer = found(np.array([0.5, np.nan, np.nan]), np.array([2.0, np.nan, np.nan]))

    summaries, arrays = drift_summaries(finding, layer), drift_arrays(finding, layer)

    assert (summaries.unobservable_channels, arrays.unobservable_channels) == (2, 2)
    assert [worst.channel for worst in summaries.worst_channels] == [0]
    assert arrays.shift == [0.5, None, None]


def test_the_worst_channels_come_first() -> None:
    """By symmetric KL, few of them."""
    means = np.array([0.1, -3.0, 0.2, 5.0, 0.0, -1.0, 2.0, 0.3])
    finding, layer = found(means, np.ones(len(means)))

    worst = drift_summaries(finding, layer).worst_channels

    assert [channel.channel for channel in worst] == [3, 1, 6, 5, 7]
    assert len(worst) == WORST_CHANNELS
    assert worst[0].shift == 5.0


def test_a_channel_that_became_constant_is_among_the_worst() -> None:
    """Its divergence is infinite, which JSON can't say: null."""
    finding, layer = found(np.array([0.0, 3.0]), np.array([0.0, 1.0]))
    layer.distance.ratio[0] = 0.0  # eps keeps it a little above

    form = drift_summaries(finding, layer)

    assert [(worst.channel, worst.symmetric_kl is None) for worst in form.worst_channels] == [(0, True), (1, False)]
    assert form.symmetric_kl is not None
    assert drift_arrays(finding, layer).symmetric_kl[0] is None
