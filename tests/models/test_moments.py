"""This module tests that moments are numpy's, however the values come.

One tolerance serves all comparisons. A sum of n numbers of size at most A is off by at most ``n u (n A)``, with u the
unit roundoff, in whatever order it is taken; so a mean, also one merged from parts, is off by a small multiple of
``delta = n u A``. Taking deviations from a mean that is off by delta moves each deviation by delta, and by the triangle
inequality their root mean square, the standard deviation, by no more. So both are compared within ``8 delta``, which
covers our own error and numpy's. For values near 1e12 that vary by 1, this is a few hundredths: a variance taken as
``E[x^2] - E[x]^2`` would be off by 1e8.
"""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.moments import Array, Moments

OFFSETS = (0.0, 1.0, -1e3, 1e8, -1e12)


@st.composite
def values(draw: st.DrawFn) -> Array:
    """Values of shape ``(rows, channels, pixels)``, all of them near one offset that may be large."""
    shape = draw(array_shapes(min_dims=3, max_dims=3, max_side=7))
    # single precision: the square of the smallest is still a double
    elements = st.floats(-1e3, 1e3, width=32)
    return draw(arrays(np.float64, shape, elements=elements)) + draw(st.sampled_from(OFFSETS))


@st.composite
def batches(draw: st.DrawFn) -> list[Array]:
    """Values, cut into batches at any rows; some batches are empty."""
    whole = draw(values())
    cuts = draw(st.lists(st.integers(0, len(whole)), max_size=6))
    return np.split(whole, sorted(cuts))


@given(batches())
def test_any_split_into_batches_gives_numpys_moments(parts: list[Array]) -> None:
    moments = Moments.empty(parts[0].shape[1])

    for part in parts:
        moments = moments.merge(Moments.of(part, channel_axis=1))

    assert_moments_of(np.concatenate(parts), moments)


@given(batches(), st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_merges_gives_numpys_moments(parts: list[Array], order: random.Random) -> None:
    moments = [Moments.of(part, channel_axis=1) for part in parts]

    while len(moments) > 1:
        order.shuffle(moments)
        moments.append(moments.pop().merge(moments.pop()))

    assert_moments_of(np.concatenate(parts), moments[0])


@given(values(), st.integers(-3, 2))
def test_any_channel_axis_gives_numpys_moments(whole: Array, axis: int) -> None:
    turned = np.moveaxis(whole, 1, axis)

    moments = Moments.of(turned, channel_axis=axis)

    assert_moments_of(whole, moments)


@given(values())
def test_empty_moments_are_neutral_from_either_side(whole: Array) -> None:
    moments = Moments.of(whole, channel_axis=1)
    empty = Moments.empty(moments.channels)

    merged = (empty.merge(moments), moments.merge(empty))

    for each in merged:
        assert each.count == moments.count
        np.testing.assert_array_equal(each.mean, moments.mean)
        np.testing.assert_array_equal(each.m2, moments.m2)


@given(arrays(np.float32, (5, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_single_precision_is_computed_in_double(single: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    double = single.astype(np.float64)

    moments = Moments.of(single, channel_axis=1)

    np.testing.assert_array_equal(moments.mean, Moments.of(double, channel_axis=1).mean)
    np.testing.assert_array_equal(moments.m2, Moments.of(double, channel_axis=1).m2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.bool_])
def test_a_narrow_type_does_not_overflow(dtype: type[np.generic]) -> None:
    ones_and_zeros = np.tile([[1], [0]], (50_000, 1)).astype(dtype)

    moments = Moments.of(ones_and_zeros, channel_axis=1)

    assert (moments.count, moments.mean.tolist(), moments.variance.tolist()) == (100_000, [0.5], [0.25])


def test_one_row_of_a_flat_array_has_no_variance() -> None:
    row = np.array([3.0, -4.0])

    moments = Moments.of(row, channel_axis=0)

    assert (moments.count, moments.mean.tolist(), moments.variance.tolist()) == (1, [3.0, -4.0], [0.0, 0.0])


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (4, 3, 0)])
def test_an_array_without_values_has_empty_moments(shape: tuple[int, ...]) -> None:
    nothing = np.zeros(shape)

    moments = Moments.of(nothing, channel_axis=1)

    assert (moments.count, moments.channels) == (0, 3)


def test_merging_nothing_with_nothing_is_nothing() -> None:
    empty = Moments.empty(2)

    merged = empty.merge(empty)

    assert (merged.count, merged.mean.tolist(), merged.m2.tolist()) == (0, [0.0, 0.0], [0.0, 0.0])


def test_the_variance_of_nothing_is_not_a_number() -> None:
    empty = Moments.empty(2)

    variance = empty.variance

    assert np.isnan(variance).tolist() == [True, True]


def test_a_channel_that_is_not_a_number_spoils_no_other() -> None:
    broken = Moments(2, np.array([np.nan, 1.0]), np.array([np.nan, 2.0]))
    whole = Moments(2, np.array([5.0, 3.0]), np.array([0.0, 2.0]))

    merged = whole.merge(broken)

    assert np.isnan(merged.mean[0])
    assert (merged.mean[1], merged.m2[1]) == (2.0, 8.0)


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_the_array_lacks_is_refused(axis: int) -> None:
    two_axes = np.zeros((5, 3))

    with pytest.raises(ValueError, match="channel_axis") as caught:
        Moments.of(two_axes, channel_axis=axis)

    assert str(caught.value) == f"channel_axis: expected an axis of an array of 2 axes, got {axis}"


def test_merging_other_channels_is_refused() -> None:
    three, four = Moments.empty(3), Moments.empty(4)

    with pytest.raises(ValueError, match="channels") as caught:
        three.merge(four)

    assert str(caught.value) == "moments to merge: expected 3 channels, got 4"


def assert_moments_of(whole: Array, moments: Moments) -> None:
    """Assert that moments are numpy's of values of shape ``(rows, channels, pixels)``."""
    count = whole.shape[0] * whole.shape[2]
    tolerance = 8 * count * np.finfo(np.float64).eps / 2 * np.abs(whole).max()
    assert moments.count == count
    np.testing.assert_allclose(moments.mean, whole.mean(axis=(0, 2)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.sqrt(moments.variance), whole.std(axis=(0, 2)), rtol=0, atol=tolerance)
