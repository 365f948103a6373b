"""Maps are laid along the axes that a tensor has after a layout, or an obstacle says why that can't be told."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folding.rules.affine import Affine, Shape, reshape
from folding.rules.obstacle import Obstacle


def of_channels(*scale: float, shift: float = 0.0) -> Affine:
    values = np.array(scale)
    return Affine.of_channels(values, np.full(len(values), shift), axis=1, rank=4)


def test_a_map_after_another_is_both_in_turn() -> None:
    first, second = of_channels(2.0, -3.0, shift=1.0), of_channels(0.5, 4.0, shift=-2.0)
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 3))

    both = second.after(first)

    in_turn = second.scale * (first.scale * x + first.shift) + second.shift
    np.testing.assert_allclose(both.scale * x + both.shift, in_turn, rtol=0, atol=1e-14)


def test_an_inverse_undoes_a_map_and_is_no_number_where_the_scale_is_zero() -> None:
    affine = of_channels(2.0, 0.0, shift=1.0)

    undone = affine.inverse().after(affine)

    np.testing.assert_array_equal(undone.scale.ravel(), [1.0, np.nan])
    np.testing.assert_array_equal(undone.shift.ravel(), [0.0, np.nan])


def test_channels_along_another_axis_are_an_obstacle() -> None:
    affine = Affine.of_channels(np.array([1.0, 2.0]), np.zeros(2), axis=2, rank=3)

    with pytest.raises(Obstacle, match="another axis"):
        affine.channels(1, 2)


@pytest.mark.parametrize(
    ("source", "target", "axis", "expected"),
    [
        (["n", 3, 4, 4], ["n", 48], 1, (1, 48)),
        (["n", 3, 1, 1], ["n", 3], 1, (1, 3)),
        (["n", 3], ["n", 3, 1, 1], 1, (1, 3, 1, 1)),
        (["n", 5, 3], ["5*n", 3], 2, (1, 3)),
        (["5*n", 3], ["n", 5, 3], 1, (1, 1, 3)),
        (["n", 3, "h", "w"], ["n", 3, "h*w"], 1, (1, 3, 1)),
        (["n", 3, 4, 4], ["n", 3, 16], 1, (1, 3, 1)),
        (["n", 6, 4], ["n", 2, 3, 4], 1, (1, 2, 3, 1)),
        ([2, 3, 4], [2, 12], 1, (1, 12)),
    ],
    ids=str,
)
def test_channels_are_found_again_after_a_reshape(
    source: Shape, target: Shape, axis: int, expected: tuple[int, ...]
) -> None:
    channels = np.arange(1.0, 1.0 + int(source[axis]))
    laid = Affine.of_channels(channels, channels, axis=axis, rank=len(source)).scale

    found = reshape(laid, source, target)

    assert found.shape == expected


@pytest.mark.parametrize(
    ("source", "target"),
    [(["n", 3, "h", "w"], ["n", "3*h*w"]), (["n", 3], ["3*n"]), (["n", 3, 4], ["n*12"])],
    ids=["images of any size", "the batch", "everything"],
)
def test_channels_that_a_reshape_mixes_with_other_axes_are_an_obstacle(source: Shape, target: Shape) -> None:
    laid = Affine.of_channels(np.arange(3.0), np.zeros(3), axis=1, rank=len(source)).scale

    with pytest.raises(Obstacle, match="a reshape mixes its channels"):
        reshape(laid, source, target)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """A shape, another of as many values, and an axis of the first; the first axis of both is the batch."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=6))

    def grouped() -> list[int]:
        cuts = sorted(draw(st.sets(st.integers(0, len(factors)), max_size=4)))
        bounds = [0, *cuts, len(factors)]
        return [math.prod(factors[low:high]) for low, high in itertools.pairwise(bounds)]

    source, target = [5, *grouped()], [5, *grouped()]
    return source, target, draw(st.integers(1, len(source) - 1))


@given(reshapes())
def test_a_map_that_is_reshaped_says_the_same_of_every_value(case: tuple[list[int], list[int], int]) -> None:
    source, target, axis = case
    channels = np.arange(1.0, 1.0 + source[axis])
    laid = Affine.of_channels(channels, channels, axis=axis, rank=len(source)).scale

    found = reshape(laid, source, target)

    whole = np.broadcast_to(laid, source).reshape(target)
    np.testing.assert_array_equal(np.broadcast_to(found, target), whole)
