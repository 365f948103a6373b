"""This module is what the studies run on: MNIST from its four files, or the embedded digits as the small variant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.data.digits import Digits
from training.data.idx import mnist_file, read_idx
from training.data.places import existing_folder
from training.data.splits import Rows

DIGITS = "digits"


@dataclass(frozen=True, slots=True, eq=False)
class StudyData:
    """Images ``(rows, 1, height, width)`` in float32 from 0 to 1, with their labels, to fit to and to test on."""

    name: str
    train: Rows
    test: Rows

    @property
    def in_features(self) -> int:
        """Pixels of an image."""
        return self.train.values[0].numel()

    def binary(self) -> StudyData:
        """Pixels 0 or 1, black above half: the input of the paper's Figure 1."""
        return self._with_values(
            (self.train.values > 0.5).to(torch.float32), (self.test.values > 0.5).to(torch.float32)
        )

    def standardized(self) -> StudyData:
        """Mean 0 and variance 1 over all pixels of all training images."""
        variance, mean = torch.var_mean(self.train.values)
        return self._with_values(*((part.values - mean) / variance.sqrt() for part in (self.train, self.test)))

    def _with_values(self, train: torch.Tensor, test: torch.Tensor) -> StudyData:
        return replace(self, train=Rows(train, self.train.labels), test=Rows(test, self.test.labels))


def load_study_data(source: str) -> StudyData:
    """Load ``digits``, or MNIST (or any data of its form) from a folder that holds its four files, gzipped or not.

    Raises:
        DataError: If a file is missing or is not what it should be.
    """
    if source == DIGITS:
        splits = Digits().load()
        train, test = (Rows(part.values / 16, part.labels) for part in (splits.train, splits.test))
        return StudyData(DIGITS, train, test)
    folder = existing_folder(Path(source))
    train, test = (
        Rows(
            torch.from_numpy(read_idx(mnist_file(folder, f"{part}-images", 3))).unsqueeze(1).to(torch.float32) / 255,
            torch.from_numpy(read_idx(mnist_file(folder, f"{part}-labels", 1))).to(torch.int64),
        )
        for part in ("train", "t10k")
    )
    return StudyData("MNIST", train, test)
