"""This module reads IDX files, in which MNIST and its relatives come.

Two zero bytes, one for the type of the numbers, one for how many axes there are, a big-endian 32-bit size for each, and
the numbers, big-endian, the last axis fastest.

Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from training.data.arrays import as_values, refuse_unequal
from training.data.cutting import PARTS, Split, make_splits
from training.data.labels import encode_labels
from training.data.places import existing_file, existing_folder
from training.data.splits import LabelledRows, Rows, Splits
from training.errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The numbers that a type code stands for, as NumPy names them."""

GZIP = b"\x1f\x8b"
PREFIXES = {"train": "train", "test": "t10k"}
"""What the names of MNIST's files begin with."""


class IdxPair(BaseModel):
    """Two files that belong together: images or other values, and one label each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: Path
    labels: Path


class IdxFiles(BaseModel):
    """IDX files, compressed by gzip or not.

    Attributes:
        folder: With the four files of MNIST, ``train-images-idx3-ubyte`` and so on; or pairs of files:
        train: Rows to train on.
        validation: Rows to decide by; cut out of the training rows if not given.
        test: Rows to measure on; likewise.
        names: The class of every label from 0; by default the labels themselves.
        split: How parts are cut that have no files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["idx"] = "idx"
    folder: Path | None = None
    train: IdxPair | None = None
    validation: IdxPair | None = None
    test: IdxPair | None = None
    names: tuple[str, ...] = ()
    split: Split = Split()

    @model_validator(mode="after")
    def _names_files_one_way(self) -> IdxFiles:
        if (self.folder is None) == (self.train is None) or (self.folder and (self.validation or self.test)):
            raise ValueError("expected either folder, or train with a file of values and one of labels")
        return self

    def load(self) -> Splits[LabelledRows]:
        """Rows as the files have them; images ``(rows, height, width)`` get one channel.

        Raises:
            DataError: If a file is missing or damaged, or they do not belong together.
        """
        pairs = self._pairs()
        values, labels = {}, {}
        for part, pair in pairs.items():
            array, found = read_idx(pair.values), read_idx(pair.labels)
            values[part] = as_values(array, str(pair.values), "none" if array.ndim == 3 else "first")
            refuse_unequal(values[part], found, (str(pair.values), str(pair.labels)))
            labels[str(pair.labels)] = found
        names, numbers = encode_labels(labels, self.names)
        parts: dict[str, LabelledRows] = {
            part: Rows(values[part], numbers[str(pair.labels)]) for part, pair in pairs.items()
        }
        return make_splits(str(self.folder or pairs["train"].values), names, parts, self.split)

    def _pairs(self) -> dict[str, IdxPair]:
        if self.folder is None:
            given = {part: getattr(self, part) for part in PARTS}
            return {part: pair for part, pair in given.items() if pair is not None}
        folder = existing_folder(self.folder)
        return {
            part: IdxPair(
                values=mnist_file(folder, f"{prefix}-images", 3), labels=mnist_file(folder, f"{prefix}-labels", 1)
            )
            for part, prefix in PREFIXES.items()
        }


def read_idx(path: Path) -> NDArray[Any]:
    """The array that an IDX file holds, in the machine's byte order; compressed by gzip or not.

    Raises:
        DataError: If there is no such file, it is no IDX file, or it is shorter or longer than it says.
    """
    content = _uncompressed(existing_file(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES or not content[3]:
        types = ", ".join(f"{code:02x}" for code in TYPES)
        raise DataError(
            f"{path}: expected an IDX file, which begins with 0000, a type of {types} and a number of axes, "
            f"got {content[:4].hex() or 'nothing'}"
        )
    dtype, axes = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{path}: expected the sizes of {axes} axes, the file ends after {len(content)} bytes")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        raise DataError(
            f"{path}: expected {expected} bytes behind its header, values of shape {shape}, got {len(content) - start}"
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _uncompressed(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error) as error:  # of a file that is cut short, or damaged
        raise DataError(f"{path}: expected a file that can be read and uncompressed whole: {error}") from error


def mnist_file(folder: Path, stem: str, axes: int) -> Path:
    """One of MNIST's files, by how its name begins: ``train-images`` has three axes, ``train-labels`` one.

    Raises:
        DataError: If it is not there, under any of the names that it goes by.
    """
    names = [f"{stem}{dot}idx{axes}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    return existing_file(folder / names[0])
