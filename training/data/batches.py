"""This module cuts rows into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from training.data.splits import Rows


class Batches:
    """All rows in their order, ``batch_rows`` at a time; the last batch may be smaller."""

    def __init__(self, rows: Rows, batch_rows: int) -> None:
        self.rows = rows
        self.batch_rows = batch_rows

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_rows)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(
            torch.split(self.rows.values, self.batch_rows), torch.split(self.rows.labels, self.batch_rows), strict=True
        )


class ShuffledBatches:
    """Batches in a new order each epoch, images moved by a few pixels, from a generator of its own.

    The last rows of an epoch that do not fill a batch are left out: a batch of one has no variance.
    """

    def __init__(self, rows: Rows, batch_rows: int, *, max_shift_pixels: int, seed: int) -> None:
        self.rows = rows
        self.batch_rows = batch_rows
        self.max_shift_pixels = max_shift_pixels
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.rows) // self.batch_rows

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.rows), generator=self.generator)
        for chosen in torch.split(order, self.batch_rows)[: len(self)]:
            yield self._shifted(self.rows.values[chosen]), self.rows.labels[chosen]

    def _shifted(self, images: Tensor) -> Tensor:
        """Each image moved by its own random offset; what comes in from outside is 0."""
        reach = self.max_shift_pixels
        if reach == 0:
            return images
        count, _, height, width = images.shape
        down, right = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=self.generator)
        padded = functional.pad(images, (reach, reach, reach, reach))
        rows, columns = torch.arange(height) + down, torch.arange(width) + right
        picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)
