"""This module is what the studies run on: MNIST from its four files, or the embedded digits as the small variant.

MNIST is known by a hash of its rows: pages tell what was found on it, and other images come in files of the same names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.data.digits import Digits
from training.data.idx import PREFIXES, IdxFiles, IdxPair, mnist_file
from training.data.places import existing_folder
from training.data.splits import Rows

DIGITS, MNIST, OTHER = "digits", "MNIST", "other images"

MNIST_SHA256 = "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b"
"""Of MNIST's rows as they were published, training before test: pixels as bytes, then labels as int64."""


@dataclass(frozen=True, slots=True, eq=False)
class StudyData:
    """Images ``(rows, 1, height, width)`` in float32 from 0 to 1, with their labels, to fit to and to test on.

    Its name is ``digits``, ``MNIST``, or ``other images`` of whatever else a folder holds.
    """

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
        DataError: If a file is missing or is not what it should be, or files do not belong together.
    """
    if source == DIGITS:
        splits = Digits().load()
        train, test = (Rows(part.values / 16, part.labels) for part in (splits.train, splits.test))
        return StudyData(DIGITS, train, test)
    folder = existing_folder(Path(source))
    fitted, tested = (
        IdxPair(values=mnist_file(folder, f"{prefix}-images", 3), labels=mnist_file(folder, f"{prefix}-labels", 1))
        for prefix in (PREFIXES["train"], PREFIXES["test"])
    )
    # a study decides nothing by validation rows; were none named, they would be cut out of the training rows
    loaded = IdxFiles(train=fitted, validation=tested, test=tested).load()
    digest = hashlib.sha256()
    for part in (loaded.train, loaded.test):
        part.add_to(digest)
    train, test = (Rows(part.read(torch.arange(len(part))) / 255, part.labels) for part in (loaded.train, loaded.test))
    return StudyData(MNIST if digest.hexdigest() == MNIST_SHA256 else OTHER, train, test)
