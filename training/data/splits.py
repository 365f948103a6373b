"""This module is what a data set is here: rows and labels in three fixed splits, and a hash of all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import TypeVar

from models.training import DataRecord


class Digest(Protocol):
    """What a hash is made with."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Go on with further bytes."""


class LabelledRows(Protocol):
    """Rows that belong together, and one integer label each; their values may be anywhere until they are read."""

    @property
    def labels(self) -> Tensor:
        """Shape ``(rows,)``."""

    @property
    def are_in_memory(self) -> bool:
        """Whether values are there at once; else they are read from files."""

    def __len__(self) -> int: ...

    def read(self, chosen: Tensor) -> Tensor:
        """The values of some rows in float32, by their numbers ``(n,)``: ``(n, ...)``."""

    def select(self, chosen: Tensor) -> Self:
        """Some rows as a part of its own, by their numbers ``(n,)``."""

    def add_to(self, digest: Digest) -> None:
        """Put all values and labels into a hash."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in memory: ``values`` of shape ``(rows, ...)`` and one integer label each, ``(rows,)``.

    Bytes stay bytes, a quarter of what numbers take, until they are read.
    """

    values: Tensor
    labels: Tensor

    @property
    def are_in_memory(self) -> bool:
        """See ``LabelledRows``."""
        return True

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, chosen: Tensor) -> Tensor:
        """See ``LabelledRows``; a byte is read as the number that it is, from 0 to 255."""
        values = self.values[chosen]
        return values.to(torch.float32) if values.dtype == torch.uint8 else values

    def select(self, chosen: Tensor) -> Rows:
        """See ``LabelledRows``."""
        return Rows(self.values[chosen], self.labels[chosen])

    def add_to(self, digest: Digest) -> None:
        """See ``LabelledRows``."""
        for tensor in (self.values, self.labels.to(torch.int64)):
            digest.update(tensor.contiguous().numpy().reshape(-1).view(np.uint8).data)


Part_co = TypeVar("Part_co", bound=LabelledRows, default=Rows, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Splits(Generic[Part_co]):
    """One data set: what is fitted to, what decides between settings, and what is only measured on.

    Its rows are in memory, unless its type says otherwise.

    Attributes:
        name: What the manifest calls it.
        labels: The name of every class, by its number.
        train: Rows to fit to.
        validation: Rows to decide by.
        test: Rows to measure on.
        columns: What the values of a row are, one after another, if it is one of a table.
    """

    name: str
    labels: tuple[str, ...]
    train: Part_co
    validation: Part_co
    test: Part_co
    columns: tuple[str, ...] | None = field(default=None, kw_only=True)

    def record(self) -> DataRecord:
        """What the manifest says of the data."""
        digest = hashlib.sha256()
        rows = {"train": self.train, "validation": self.validation, "test": self.test}
        for split in rows.values():
            split.add_to(digest)
        return DataRecord(name=self.name, rows={k: len(v) for k, v in rows.items()}, sha256=digest.hexdigest())
