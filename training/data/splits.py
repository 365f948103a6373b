"""This module is what a data set is here: rows and labels in three fixed splits, and a hash of all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from models.manifest import DataRecord


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that belong together: ``values`` of shape ``(rows, ...)`` and one integer label each, ``(rows,)``."""

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, chosen: Tensor) -> Tensor:
        """The values of some rows, by their numbers ``(n,)``: ``(n, ...)``."""
        return self.values[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """One data set: what is fitted to, what decides between settings, and what is only measured on."""

    name: str
    labels: tuple[str, ...]
    train: Rows
    validation: Rows
    test: Rows

    def record(self) -> DataRecord:
        """What the manifest says of the data."""
        digest = hashlib.sha256()
        rows = {"train": self.train, "validation": self.validation, "test": self.test}
        for split in rows.values():
            for tensor in (split.values, split.labels.to(torch.int64)):
                digest.update(tensor.contiguous().numpy().tobytes())
        return DataRecord(name=self.name, rows={k: len(v) for k, v in rows.items()}, sha256=digest.hexdigest())
