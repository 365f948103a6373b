"""This module changes training rows at random, a little, in ways that leave their labels true.

What happens to a row is a function of the row and of some numbers that chance draws for it, ``(rows, num_chances)``
uniform in [0, 1). So the same numbers do the same to a row, in whatever batch and process it is.

All of it is for images: what may be done to a table's row without making its label untrue, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from training.data.geometry import Border, Motion, shifted, transformed
from training.errors import RecipeError

Share = Annotated[float, Field(ge=0, lt=1)]


class Augmentation(BaseModel):
    """What is done to training rows, in this order.

    Attributes:
        shift_pixels: Images are moved by up to this many pixels each way, in whole pixels, as a random crop
            of the image with so wide a border does it.
        rotate_degrees: They are turned by up to this much each way.
        scale: They are made larger or smaller by up to this share.
        flip: Half of them are mirrored, left to right.
        border: What comes in from outside: ``zeros``, the ``edge`` pixel again, or the image's own ``reflection``.
        brightness: All values are multiplied by 1, give or take up to this share.
        contrast: So are their distances from the image's mean.
        erase_pixels: A square of so many pixels is set to 0, wherever its middle falls (cutout).

    Source: DeVries & Taylor (2017), "Improved Regularization of Convolutional Neural Networks with Cutout".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift_pixels: Annotated[int, Field(ge=0)] = 0
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Share = 0.0
    flip: bool = False
    border: Border = "zeros"
    brightness: Share = 0.0
    contrast: Share = 0.0
    erase_pixels: Annotated[int, Field(ge=0)] = 0

    @property
    def num_chances(self) -> int:
        """How many random numbers are drawn for a row."""
        return sum(chances for chances, _ in self._steps())

    def apply(self, values: Tensor, chances: Tensor) -> Tensor:
        """Rows like ``values``, ``(rows, ...)``, changed as ``chances`` say, ``(rows, num_chances)``."""
        steps = self._steps()
        for (_, change), drawn in zip(steps, _cut(chances, [count for count, _ in steps]), strict=True):
            values = change(values, drawn)
        return values

    def refuse_misfit(self, shape: Sequence[int]) -> None:
        """Raise RecipeError if rows of this shape, without the axis of rows, can't be changed so."""
        if not self.num_chances:
            return
        if len(shape) != 3:
            raise RecipeError(
                f"augment: expected rows that are images, of shape (channels, height, width), got shape {tuple(shape)}"
            )
        if self.border == "reflection" and self.shift_pixels >= min(shape[1:]):
            raise RecipeError(
                f"augment: shift_pixels: expected less than an image of {shape[1]}x{shape[2]} pixels has to reflect, "
                f"got {self.shift_pixels}"
            )

    def _steps(self) -> list[tuple[int, Callable[[Tensor, Tensor], Tensor]]]:
        """What is done, in order, and how many random numbers each takes."""
        steps: list[tuple[int, Callable[[Tensor, Tensor], Tensor]]] = []
        if self.rotate_degrees or self.scale:  # one interpolation, not three
            motion = Motion(self.shift_pixels, self.rotate_degrees, self.scale, self.border)
            steps.append((4, lambda images, chances: transformed(images, motion, chances)))
        elif self.shift_pixels:
            steps.append((2, lambda images, chances: shifted(images, self.shift_pixels, self.border, chances)))
        if self.flip:
            steps.append((1, _flipped))
        if self.brightness:
            steps.append((1, lambda images, chances: images * _factors(self.brightness, chances)))
        if self.contrast:
            steps.append((1, lambda images, chances: _contrasted(images, _factors(self.contrast, chances))))
        if self.erase_pixels:
            steps.append((2, lambda images, chances: _erased(images, self.erase_pixels, chances)))
        return steps


def _cut(chances: Tensor, counts: Sequence[int]) -> Sequence[Tensor]:
    return torch.split(chances, [*counts], dim=1)


def _flipped(images: Tensor, chances: Tensor) -> Tensor:
    return torch.where(chances[:, :, None, None] < 0.5, images.flip(3), images)


def _factors(share: float, chances: Tensor) -> Tensor:
    return (1 + share * (2 * chances - 1))[:, :, None, None]


def _contrasted(images: Tensor, factors: Tensor) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + factors * (images - mean)


def _erased(images: Tensor, size: int, chances: Tensor) -> Tensor:
    height, width = images.shape[2:]
    middles = (chances * torch.tensor([height, width])).long()
    first = (middles - size // 2).T[:, :, None]
    rows, columns = torch.arange(height) - first[0], torch.arange(width) - first[1]
    inside = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
