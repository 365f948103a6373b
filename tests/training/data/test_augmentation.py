from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.training.examples import normal_rows
from training.data.augmentation import Augmentation
from training.data.batches import ShuffledBatches
from training.data.splits import Rows
from training.errors import RecipeError

EVERYTHING: Mapping[str, Any] = {
    "shift_pixels": 2,
    "rotate_degrees": 20,
    "scale": 0.2,
    "flip": True,
    "border": "reflection",
    "brightness": 0.2,
    "contrast": 0.3,
    "erase_pixels": 2,
}
ROUNDING = 1e-5
"""Of values around 1 that are interpolated from four others in float32."""


def images(count: int = 8, height: int = 6, width: int = 9) -> Tensor:
    return normal_rows(count, 2, height, width)


def applied(values: Tensor, chances: float | list[float], **fields: Any) -> Tensor:  # noqa: ANN401
    """Images to which the same numbers happen."""
    augment = Augmentation(**fields)
    drawn = torch.tensor(chances if isinstance(chances, list) else [chances]).expand(len(values), augment.num_chances)
    return augment.apply(values, drawn)


@given(st.lists(st.sampled_from(sorted(EVERYTHING)), unique=True), st.integers(0, 2**31))
def test_a_row_changes_alike_in_whatever_batch_it_is(chosen: list[str], seed: int) -> None:
    augment = Augmentation(**{name: EVERYTHING[name] for name in chosen})
    values = images()
    chances = torch.rand(len(values), augment.num_chances, generator=torch.Generator().manual_seed(seed))

    together = augment.apply(values, chances)

    alone = torch.cat([augment.apply(values[i : i + 1], chances[i : i + 1]) for i in range(len(values))])
    assert together.shape == values.shape
    torch.testing.assert_close(together, alone, rtol=0, atol=ROUNDING)


def test_nothing_is_drawn_where_nothing_is_done() -> None:
    assert Augmentation().num_chances == 0


def test_half_of_the_numbers_flip_left_to_right() -> None:
    values = images()

    assert torch.equal(applied(values, 0.49, flip=True), values.flip(3))
    assert torch.equal(applied(values, 0.5, flip=True), values)


@pytest.mark.parametrize("border", ["zeros", "edge", "reflection"])
def test_the_middle_of_every_range_of_motion_is_to_stay(border: str) -> None:
    values = images()

    stayed = applied(values, 0.5, shift_pixels=2, rotate_degrees=90, scale=0.5, border=border)

    torch.testing.assert_close(stayed, values, rtol=0, atol=ROUNDING)


def test_a_turn_by_a_right_angle_moves_every_pixel_to_another() -> None:
    values = images(height=6, width=6)

    turned = applied(values, [0.5, 0.5, 0.0, 0.5], rotate_degrees=90)

    torch.testing.assert_close(turned, values.rot90(-1, dims=(2, 3)), rtol=0, atol=ROUNDING)


def test_an_image_that_is_not_square_is_turned_without_distortion() -> None:
    """By half a turn, of which the aspect ratio cancels out, and back by two quarters, of which it would not."""
    values = torch.zeros(1, 1, 9, 15)
    values[:, :, 4, 5:10] = 1.0  # a line of five pixels across

    upright = applied(values, [0.5, 0.5, 0.0, 0.5], rotate_degrees=90)

    expected = torch.zeros_like(values)
    expected[:, :, 2:7, 7] = 1.0
    torch.testing.assert_close(upright, expected, rtol=0, atol=ROUNDING)


def test_a_larger_scale_shows_the_middle_larger() -> None:
    values = torch.zeros(1, 1, 8, 8)
    values[:, :, 3:5, 3:5] = 1.0

    larger = applied(values, [0.5, 0.5, 0.5, 0.999999], scale=0.9)

    assert larger.sum() > 3 * values.sum()  # 1.9 squared, less what is interpolated


@pytest.mark.parametrize("border", ["zeros", "edge"])
def test_motion_with_a_scale_shifts_as_motion_without_one(border: str) -> None:
    values = images()

    exact = applied(values, [0.1, 0.9], shift_pixels=2, border=border)
    interpolated = applied(values, [0.1, 0.9, 0.5, 0.5], shift_pixels=2, scale=1e-6, border=border)

    torch.testing.assert_close(interpolated, exact, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("border", "expected"), [("zeros", 0.0), ("edge", 1.0), ("reflection", 2.0)])
def test_what_comes_in_is_the_borders(border: str, expected: float) -> None:
    values = torch.tensor([1.0, 2.0, 3.0]).expand(1, 1, 3, 3)

    moved = applied(values, [0.5, 0.0], shift_pixels=1, border=border)

    assert moved[0, 0, 1].tolist() == [expected, 1.0, 2.0]


def test_brightness_multiplies_and_contrast_keeps_the_mean() -> None:
    values = images()

    torch.testing.assert_close(applied(values, 0.0, brightness=0.2), 0.8 * values)
    harder = applied(values, 0.999999, contrast=0.5)
    torch.testing.assert_close(harder.mean(dim=(1, 2, 3)), values.mean(dim=(1, 2, 3)), rtol=0, atol=ROUNDING)
    torch.testing.assert_close(harder.std(dim=(1, 2, 3)), 1.5 * values.std(dim=(1, 2, 3)))


@pytest.mark.parametrize(("chances", "erased"), [([0.5, 0.5], 9), ([0.0, 0.0], 4)])
def test_a_square_is_erased_as_far_as_it_is_in_the_image(chances: list[float], erased: int) -> None:
    values = torch.ones(1, 2, 6, 9)

    found = applied(values, chances, erase_pixels=3)

    assert int((found == 0).sum()) == 2 * erased


@pytest.mark.parametrize("field", sorted(set(EVERYTHING) - {"border"}))
def test_rows_of_a_table_are_refused(field: str) -> None:
    rows = Rows(normal_rows(4, 3), torch.arange(4))

    with pytest.raises(RecipeError, match=r"^augment: expected rows that are images, .*, got shape \(3,\)$"):
        ShuffledBatches(rows, 2, seed=0, augment=Augmentation(**{field: EVERYTHING[field]}))


def test_more_than_there_is_can_t_be_reflected() -> None:
    augment = Augmentation(shift_pixels=6, border="reflection")

    with pytest.raises(RecipeError, match=r"expected less than an image of 6x9 pixels has to reflect, got 6$"):
        augment.refuse_misfit((1, 6, 9))
