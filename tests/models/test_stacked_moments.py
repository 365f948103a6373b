"""This module tests that stacked moments are those of all the values behind them, however the rows come.

Values here are at most some 10 deviations, and there are at most some hundred behind a column. Sums of a hundred
squares of 100, each rounded by 1e-16 of the sum, are off by less than 1e-10.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.moments import Array, Moments
from models.observed_rows import ObservedRows
from models.stacked_moments import StackedMoments
from tests.models.observed import columns_of, layer, observe_values

TOLERANCE = 1e-10
ONE, OTHER = layer("one", 2), layer("other", 3)
POSITIONS = (4, 1)
"""Of a row at each of the two layers."""

Values = tuple[Array, Array]


@st.composite
def layer_values(draw: st.DrawFn) -> Values:
    """What two layers took of some rows, in training deviations: ``(rows, channels, positions)`` each."""
    rows = draw(st.integers(1, 12))
    shift = draw(st.sampled_from([0.0, 3.0, -8.0]))
    elements = st.floats(-2, 2)
    one, other = (
        draw(arrays(np.float64, (rows, one.channels, positions), elements=elements)) + shift
        for one, positions in zip((ONE, OTHER), POSITIONS, strict=True)
    )
    return one, other


@st.composite
def splits(draw: st.DrawFn) -> tuple[Values, list[ObservedRows]]:
    """Such values, and their rows in parts, of which some are empty."""
    values = draw(layer_values())
    whole = observe_values(values)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    bounds = zip([0, *cuts], [*cuts, len(whole)], strict=True)
    return values, [whole.part(start, stop) for start, stop in bounds]


@given(splits())
def test_any_split_gives_the_moments_of_all_values(split: tuple[Values, list[ObservedRows]]) -> None:
    """Means and variances of rows lose nothing of what lies within a row or between rows."""
    values, parts = split

    moments = merged([StackedMoments.of(part) for part in parts])

    assert moments.rows == len(values[0])
    assert_moments_of(values, moments)


@given(splits(), st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_merges_gives_the_same(
    split: tuple[Values, list[ObservedRows]], order: random.Random
) -> None:
    """Windows of one model may come from several workers, and be merged as they come."""
    values, parts = split
    moments = [StackedMoments.of(part) for part in parts]

    while len(moments) > 1:
        order.shuffle(moments)
        moments.append(moments.pop().merge(moments.pop()))

    assert_moments_of(values, moments[0])


def test_no_row_changes_nothing() -> None:
    """Merging the moments of nothing gives the other moments as they are, from either side."""
    moments = StackedMoments.of(observe_values(some_values()))
    nothing = StackedMoments.empty(5)

    assert moments.merge(nothing) is moments
    assert nothing.merge(moments) is moments


def test_the_moments_of_no_row_are_empty() -> None:
    """As of rows that were all left out."""
    moments = StackedMoments.of(observe_values(some_values()).part(0, 0))

    assert (moments.rows, moments.count.tolist()) == (0, [0.0] * 5)
    assert np.isnan(moments.variance).all()


def test_channels_that_cannot_be_observed_stay_unknown() -> None:
    """And leave their neighbours alone."""
    rows = observe_values(some_values())
    hidden = rows.means.copy()
    hidden[:, 1] = np.nan
    parts = replace(rows, means=hidden, variances=np.where(np.isnan(hidden), np.nan, rows.variances))

    moments = merged([StackedMoments.of(parts.part(start, start + 3)) for start in (0, 3)])

    expected = StackedMoments.of(rows)
    assert np.isnan(moments.mean).tolist() == np.isnan(moments.variance).tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(moments.mean[[0, 2, 3, 4]], expected.mean[[0, 2, 3, 4]], rtol=0, atol=TOLERANCE)


def test_the_inputs_moments_are_those_of_what_the_layers_took() -> None:
    """In the layers' own units: ``mean + deviation z``."""
    values, layers = some_values(), (ONE, OTHER)

    inputs = StackedMoments.of(observe_values(values)).of_inputs(columns_of(*layers), layers)

    for one, found, z in zip(layers, inputs, values, strict=True):
        expected = Moments.of(one.mean[:, None] + one.deviation[:, None] * z, channel_axis=1)
        assert found.count == expected.count
        np.testing.assert_allclose(found.mean, expected.mean, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(found.m2, expected.m2, rtol=TOLERANCE)


def test_the_inputs_moments_give_the_stacked_ones_again() -> None:
    """What a history kept layer by layer can be scored like what was just observed."""
    layers = (ONE, OTHER)
    moments = StackedMoments.of(observe_values(some_values()))

    again = StackedMoments.from_inputs(moments.rows, moments.of_inputs(columns_of(*layers), layers), layers)

    assert again.rows == moments.rows
    np.testing.assert_array_equal(again.count, moments.count)
    np.testing.assert_allclose(again.mean, moments.mean, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(again.m2, moments.m2, rtol=TOLERANCE)


def test_rows_of_different_sizes_count_by_their_values() -> None:
    """Images of 4 positions and then of 9: each value counts once."""
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(3, 2, 4)), 1 + rng.normal(size=(2, 2, 9))

    moments = merged([StackedMoments.of(observe_values([part])) for part in (small, large)])

    every = np.concatenate([np.moveaxis(part, 1, 0).reshape(2, -1) for part in (small, large)], axis=1)
    assert moments.rows == 5
    assert moments.count.tolist() == [30.0, 30.0]
    np.testing.assert_allclose(moments.mean, every.mean(axis=1), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(moments.variance, every.var(axis=1), rtol=TOLERANCE)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e6])
def test_a_mean_far_from_training_costs_no_variance(offset: float) -> None:
    """A variance taken as ``E[z^2] - E[z]^2`` would be off by 1e-4 at a million deviations."""
    values = [part + offset for part in some_values()]

    moments = merged([StackedMoments.of(observe_values(values).part(start, start + 1)) for start in range(6)])

    expected = np.concatenate([part.transpose(1, 0, 2).reshape(part.shape[1], -1).var(axis=1) for part in values])
    # a deviation is a difference of numbers that are rounded by 1e-16 of the offset, 1e-10
    np.testing.assert_allclose(moments.variance, expected, rtol=1e-8)


def some_values() -> Values:
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 2, 4)), rng.normal(1, 2, size=(6, 3, 1))


def merged(moments: list[StackedMoments]) -> StackedMoments:
    whole = StackedMoments.empty(len(moments[0].count))
    for one in moments:
        whole = whole.merge(one)
    return whole


def assert_moments_of(values: Values, moments: StackedMoments) -> None:
    by_channel = [part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in values]
    count = [float(part.shape[1]) for part in by_channel for _ in part]
    assert moments.count.tolist() == count
    mean = np.concatenate([part.mean(axis=1) for part in by_channel])
    np.testing.assert_allclose(moments.mean, mean, rtol=0, atol=TOLERANCE)
    m2 = np.concatenate([part.var(axis=1) for part in by_channel]) * count
    np.testing.assert_allclose(moments.m2, m2, rtol=0, atol=100 * TOLERANCE)
