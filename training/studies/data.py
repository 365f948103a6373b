"""This module is what the studies run on: MNIST from its four files, or the embedded digits as the small variant."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import digits
from training.data.splits import Rows
from training.errors import StudyError

DIGITS = "digits"
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_UNSIGNED_BYTE = 0x08


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
        StudyError: If a file is missing or is not what it should be.
    """
    if source == DIGITS:
        splits = digits.load()
        train, test = (Rows(part.values / 16, part.labels) for part in (splits.train, splits.test))
        return StudyData(DIGITS, train, test)
    arrays = [torch.from_numpy(read_idx(Path(source) / name)) for name in _FILES]
    train, test = (
        Rows(images.unsqueeze(1).to(torch.float32) / 255, labels.to(torch.int64))
        for images, labels in (arrays[:2], arrays[2:])
    )
    return StudyData("MNIST", train, test)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in a file, or in the file of that name with ``.gz`` behind it.

    Raises:
        StudyError: If there is neither, or it is no IDX file of unsigned bytes as long as it says.
    """
    gzipped = path.with_name(path.name + ".gz")
    try:
        content = path.read_bytes() if path.is_file() else gzip.decompress(gzipped.read_bytes())
    except (OSError, EOFError) as error:
        raise StudyError(f"{path}: expected an IDX file here, or one with .gz behind its name: {error}") from error
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or len(content) < 4 + 4 * content[3]:
        raise StudyError(f"{path}: expected an IDX file of unsigned bytes, got one that begins with {content[:4]!r}")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise StudyError(f"{path}: expected {list(shape)} bytes, as it says, got {len(content) - start}")
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)
