"""This module moves, turns and scales images, each as the numbers say that were drawn for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Border = Literal["zeros", "edge", "reflection"]
"""What comes in from outside an image."""

PADDINGS = {"zeros": "constant", "edge": "replicate", "reflection": "reflect"}
"""What ``functional.pad`` calls it."""

GRID_PADDINGS = {"zeros": "zeros", "edge": "border", "reflection": "reflection"}
"""What ``functional.grid_sample`` calls it; its reflection has the outermost pixels twice, that of ``pad`` once."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How far images are moved at most: by pixels, degrees, a share of their size."""

    shift_pixels: int
    rotate_degrees: float
    scale: float
    border: Border


def shifted(images: Tensor, reach: int, border: Border, chances: Tensor) -> Tensor:
    """Images moved by whole pixels, up to ``reach`` down, up, right and left, without interpolation.

    Args:
        images: Shape ``(rows, channels, height, width)``.
        reach: In pixels.
        border: What comes in.
        chances: Uniform in [0, 1), ``(rows, 2)``.
    """
    count, _, height, width = images.shape
    down, right = (chances * (2 * reach + 1)).long().T.unsqueeze(2)
    padded = functional.pad(images, (reach, reach, reach, reach), mode=PADDINGS[border])
    rows, columns = torch.arange(height) + down, torch.arange(width) + right
    picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def transformed(images: Tensor, motion: Motion, chances: Tensor) -> Tensor:
    """Images turned and scaled around their middle, and moved by whole pixels; interpolated once, bilinearly.

    A pixel at ``p`` from the middle shows what is at ``R(angle) p / factor + shift`` in the image.

    Args:
        images: Shape ``(rows, channels, height, width)``.
        motion: How far at most.
        chances: Uniform in [0, 1), ``(rows, 4)``.
    """
    height, width = images.shape[2:]
    reach = motion.shift_pixels
    shift = (chances[:, :2] * (2 * reach + 1)).floor() - reach
    angle = math.radians(motion.rotate_degrees) * (2 * chances[:, 2] - 1)
    factor = 1 + motion.scale * (2 * chances[:, 3] - 1)
    cosine, sine = angle.cos() / factor, angle.sin() / factor
    # the grid runs from -1 to 1 over width and over height, whatever they are
    across = torch.stack([cosine, -sine * height / width, 2 * shift[:, 1] / width], dim=1)
    downwards = torch.stack([sine * width / height, cosine, 2 * shift[:, 0] / height], dim=1)
    grid = functional.affine_grid(torch.stack([across, downwards], dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode=GRID_PADDINGS[motion.border], align_corners=False
    )
