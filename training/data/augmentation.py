"""This module changes training rows at random, a little, in ways that leave their labels true.

What happens to a row is a function of the row and of some numbers that chance draws for it, ``(rows, num_chances)``
uniform in [0, 1). So the same numbers do the same to a row, in whatever batch and process it is.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional


class Augmentation(BaseModel):
    """What is done to training rows.

    Attributes:
        shift_pixels: Images are moved by up to this many pixels each way; what comes in from outside is 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift_pixels: Annotated[int, Field(ge=0)] = 0

    @property
    def num_chances(self) -> int:
        """How many random numbers are drawn for a row."""
        return 2 if self.shift_pixels else 0

    def apply(self, values: Tensor, chances: Tensor) -> Tensor:
        """Rows like ``values``, ``(rows, ...)``, changed as ``chances`` say, ``(rows, num_chances)``."""
        return _shifted(values, self.shift_pixels, chances) if self.shift_pixels else values


def _shifted(images: Tensor, reach: int, chances: Tensor) -> Tensor:
    count, _, height, width = images.shape
    down, right = (chances * (2 * reach + 1)).long().T.unsqueeze(2)
    padded = functional.pad(images, (reach, reach, reach, reach))
    rows, columns = torch.arange(height) + down, torch.arange(width) + right
    picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
