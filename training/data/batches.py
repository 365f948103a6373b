"""This module cuts rows into batches.

Whatever is random about a batch follows from the seed, the epoch and the batch's number in it, and from nothing that
went before. So a fit can go on from any step, and several processes can share every batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from training.data.augmentation import Augmentation
from training.data.class_balance import draw_balanced
from training.data.read_ahead import read_one_ahead
from training.data.splits import LabelledRows


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of every batch is this process's: of ``processes`` equal ones, that of ``rank``."""

    rank: int = 0
    processes: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, ``(rows / processes, ...)``."""
        return batch.tensor_split(self.processes)[self.rank]

    def rows_of(self, rows: LabelledRows) -> LabelledRows:
        """This process's part of all rows."""
        return rows if self.processes == 1 else rows.select(self.of(torch.arange(len(rows))))


WHOLE = Share()

PASS_ROWS, PASS_VALUES = 512, 2**22
"""So many rows go through a network at once where no gradients are kept, and no more than have so many values."""

Batch = TypeVar("Batch")


class ValueBatches(Sequence[Tensor]):
    """The values of all rows in their order, ``batch_rows`` at a time, read anew every time they are wanted."""

    def __init__(self, rows: LabelledRows, batch_rows: int) -> None:
        self.rows = rows
        self.batch_rows = batch_rows

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_rows)

    def __iter__(self) -> Iterator[Tensor]:
        return _in_turn(self.rows, self.__getitem__, range(len(self)))

    @overload
    def __getitem__(self, number: int) -> Tensor: ...
    @overload
    def __getitem__(self, number: slice) -> list[Tensor]: ...
    def __getitem__(self, number: int | slice) -> Tensor | list[Tensor]:
        """The values ``(rows, ...)`` of one batch, or of several."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        first = range(len(self))[number] * self.batch_rows
        return self.rows.read(torch.arange(first, min(first + self.batch_rows, len(self.rows))))


class Batches:
    """All rows with their labels in their order, ``batch_rows`` at a time; the last batch may be smaller."""

    def __init__(self, rows: LabelledRows, batch_rows: int) -> None:
        self._values = ValueBatches(rows, batch_rows)
        self._labels = torch.split(rows.labels, batch_rows)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self._values, self._labels, strict=False)  # of no rows there is a batch of labels, an empty one


def pass_rows(rows: LabelledRows) -> int:
    """How many of some rows go through a network at once where no gradients are kept; at least one."""
    return max(1, min(PASS_ROWS, PASS_VALUES // rows.read(torch.arange(1)).numel()))


def read_all(rows: LabelledRows) -> Tensor:
    """The values of all rows in their order, where they fit into memory."""
    return rows.read(torch.arange(len(rows)))


def read_evenly(rows: LabelledRows, at_most: int) -> Tensor:
    """The values of all rows in their order, or of as many as there may be, at even distances."""
    return rows.read(torch.linspace(0, len(rows) - 1, min(len(rows), at_most), dtype=torch.float64).round().long())


class ShuffledBatches:
    """Batches in a new order each epoch, their rows augmented; every pass over them is the next epoch.

    The last rows of an epoch that do not fill a batch are left out: a batch of one has no variance. Where ``balanced``,
    an epoch has as many rows of every class instead of every row once.
    """

    def __init__(
        self,
        rows: LabelledRows,
        batch_rows: int,
        *,
        seed: int,
        augment: Augmentation | None = None,
        balanced: bool = False,
        share: Share = WHOLE,
    ) -> None:
        self.rows = rows
        self.batch_rows = batch_rows
        self.seed = seed
        self.augment = augment or Augmentation()
        self.augment.refuse_misfit(rows.read(torch.arange(1)).shape[1:])
        self.balanced = balanced
        self.share = share
        self._epoch = self._number = 0

    def __len__(self) -> int:
        return len(self.rows) // self.batch_rows

    def seek(self, step: int) -> None:
        """Go on with the batch that ``step`` batches come before, counted over all epochs."""
        self._epoch, self._number = divmod(step, len(self))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, first = self._epoch, self._number
        self._epoch, self._number = epoch + 1, 0
        order = self._order(self._generator(epoch))
        batches = torch.split(order, self.batch_rows)

        def read(number: int) -> tuple[Tensor, Tensor]:
            return self._read(batches[number], epoch, number)

        yield from _in_turn(self.rows, read, range(first, len(self)))

    def _order(self, generator: torch.Generator) -> Tensor:
        if self.balanced:
            return draw_balanced(self.rows.labels, generator)
        return torch.randperm(len(self.rows), generator=generator)

    def _read(self, batch: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        chosen = self.share.of(batch)
        values, labels = self.rows.read(chosen), self.rows.labels[chosen]
        if self.augment.num_chances:
            chances = torch.rand(len(batch), self.augment.num_chances, generator=self._generator(epoch, number + 1))
            values = self.augment.apply(values, self.share.of(chances))
        return values, labels

    def _generator(self, epoch: int, stream: int = 0) -> torch.Generator:
        """Of an epoch's order, or of what is done to its rows: a stream a batch, from 1."""
        (seed,) = np.random.SeedSequence((self.seed, epoch, stream)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(seed))


def _in_turn(rows: LabelledRows, read: Callable[[int], Batch], numbers: range) -> Iterator[Batch]:
    """What is read of some rows by number, the next one while this one is worked with, where that is worth a thread."""
    return map(read, numbers) if rows.are_in_memory else read_one_ahead(read, numbers)
