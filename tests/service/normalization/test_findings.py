from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.bundle import Bundle
from models.layers import Distance
from models.stacked_moments import StackedMoments
from service.normalization.findings import Over, find
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.sight import Sight
from tests.service.normalization.watching import judge_of, sight_of
from tests.service.observing import normal_rows

OVERS: tuple[Over, ...] = ("window", "total")


def seen(total: Sight, *, open_: Sight | None = None, window: ClosedWindow | None = None) -> Seen:
    """What was seen in all, of which some is in a window that is closed, and some in one that is not."""
    open_ = Sight.nothing(len(total.moments.mean)) if open_ is None else open_
    return Seen(share=1.0, rows_seen=total.rows, rows_dropped=0, total=total, window=window, open=open_)


def test_over_the_window_it_is_the_last_one_that_is_found(bundle: Bundle) -> None:
    """With the judgement that it was closed with."""
    judge, layers = judge_of(bundle), bundle.normalization()
    window = sight_of(bundle, normal_rows(40, seed=1), since=10.0, until=20.0)
    closed = ClosedWindow(window, judge.judge(window.moments))

    found = find(seen(sight_of(bundle, normal_rows(90)), window=closed), "window", judge, layers)

    assert found is not None
    assert (found.rows, found.judgement) == (40, closed.judgement)
    assert (found.since, found.until) == (datetime.fromtimestamp(10, UTC), datetime.fromtimestamp(20, UTC))


def test_over_the_total_everything_is_found(bundle: Bundle) -> None:
    """Judged anew, if a calibration covers so many rows."""
    judge, layers, total = judge_of(bundle), bundle.normalization(), sight_of(bundle, normal_rows(90))

    found = find(seen(total), "total", judge, layers)

    assert found is not None
    assert found.rows == 90
    assert found.judgement == judge.judge(total.moments)
    assert found.layers[0].score == found.judgement.scores[0]  # type: ignore[union-attr]  # what it equals is one


def test_a_window_that_is_not_complete_is_found_without_a_judgement(bundle: Bundle) -> None:
    """Before there is a complete one."""
    open_ = sight_of(bundle, normal_rows(39))

    found = find(seen(open_, open_=open_), "window", judge_of(bundle), bundle.normalization())

    assert found is not None
    assert (found.rows, found.judgement, found.layers[0].score) == (39, None, None)


@pytest.mark.parametrize("over", OVERS)
def test_where_no_row_was_seen_nothing_is_found(bundle: Bundle, over: Over) -> None:
    """Also where rows came, none of which count."""
    nothing = Sight(StackedMoments.empty(3), not_finite=4, since=1.0, until=2.0)

    found = find(seen(nothing, open_=nothing), over, judge_of(bundle), bundle.normalization())

    assert found is None


@pytest.mark.parametrize("over", OVERS)
def test_moments_are_in_the_units_of_the_layers_input(bundle: Bundle, over: Over) -> None:
    """So that they stand beside the running mean and variance; computed here from the network's own parameters."""
    x, parameters = normal_rows(64), bundle.parameters()
    hidden = x.astype(np.float64) @ parameters["hidden.weight"].T + parameters["hidden.bias"]
    sight = sight_of(bundle, x)

    found = find(seen(sight, window=ClosedWindow(sight, None)), over, judge_of(bundle), bundle.normalization())

    assert found is not None
    (layer,) = found.layers
    deviation = hidden.std(axis=0)
    # the graph runs in float32
    np.testing.assert_allclose(layer.moments.mean / deviation, hidden.mean(axis=0) / deviation, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.moments.variance, hidden.var(axis=0), rtol=1e-5)


def test_the_distance_is_from_the_training_statistics(bundle: Bundle) -> None:
    """As models defines it."""
    layers, sight = bundle.normalization(), sight_of(bundle, normal_rows(64, mean=1.0))

    found = find(seen(sight), "total", judge_of(bundle), layers)

    assert found is not None
    expected = Distance.between(layers[0], found.layers[0].moments)
    np.testing.assert_array_equal(found.layers[0].distance.shift, expected.shift)
    np.testing.assert_array_equal(found.layers[0].distance.ratio, expected.ratio)


def test_a_channel_that_can_not_be_observed_is_not_a_number(bundle: Bundle) -> None:
    """And the others are what they are."""
    judge, sight = judge_of(bundle), sight_of(bundle, normal_rows(64))
    hidden = np.array([False, True, False])
    moments = replace(
        sight.moments,
        mean=np.where(hidden, np.nan, sight.moments.mean),
        m2=np.where(hidden, np.nan, sight.moments.m2),
    )

    found = find(seen(replace(sight, moments=moments)), "total", judge, bundle.normalization())

    assert found is not None
    (layer,) = found.layers
    for figures in (layer.moments.mean, layer.distance.shift, layer.distance.symmetric_kl):
        np.testing.assert_array_equal(np.isnan(figures), hidden)
