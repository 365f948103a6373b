"""This module reads NumPy's archives of arrays."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.data.arrays import Channels, as_values, refuse_unequal
from training.data.cutting import PARTS, Part, Split, make_splits
from training.data.labels import encode_labels
from training.data.places import existing_file, nearest
from training.data.splits import LabelledRows, Rows, Splits
from training.errors import DataError


class NpzFile(BaseModel):
    """An ``.npz`` file with the arrays ``values`` and ``labels``, or ``train_values``, ``train_labels`` and so on.

    Attributes:
        file: The archive.
        arrays: The two arrays of each part by name, ``{train: [x_train, y_train]}``, where they are called otherwise.
        channels: Where the channels of a row lie: ``first``, ``last``, or ``none`` where images have no axis for them.
        names: The class of every label from 0; by default the labels themselves.
        split: How parts are cut that have no arrays.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["npz"] = "npz"
    file: Path
    arrays: dict[Part, tuple[str, str]] = {}
    channels: Channels = "first"
    names: tuple[str, ...] = ()
    split: Split = Split()

    def load(self) -> Splits[LabelledRows]:
        """Rows as the arrays have them.

        Raises:
            DataError: If the file can't be read, lacks an array, or its arrays do not belong together.
        """
        with _opened(existing_file(self.file)) as archive:
            pairs = self._pairs(archive.files)
            found = {part: tuple(_read(self.file, archive, name) for name in pair) for part, pair in pairs.items()}
        places = {part: tuple(f"{self.file}: {name}" for name in pair) for part, pair in pairs.items()}
        values = {part: as_values(array, places[part][0], self.channels) for part, (array, _) in found.items()}
        for part, (_, labels) in found.items():
            refuse_unequal(values[part], labels, (places[part][0], places[part][1]))
        names, numbers = encode_labels({places[part][1]: labels for part, (_, labels) in found.items()}, self.names)
        parts: dict[str, LabelledRows] = {part: Rows(values[part], numbers[places[part][1]]) for part in found}
        return make_splits(str(self.file), names, parts, self.split)

    def _pairs(self, there: list[str]) -> dict[str, tuple[str, str]]:
        """The names of the arrays of every part that the archive has."""
        pairs: dict[str, tuple[str, str]] = {str(part): pair for part, pair in self.arrays.items()}
        if not pairs:
            usual = {part: (f"{part}_values", f"{part}_labels") for part in PARTS}
            pairs = {"train": ("values", "labels")} | {k: pair for k, pair in usual.items() if set(pair) & set(there)}
        for name in (name for pair in pairs.values() for name in pair if name not in there):
            raise DataError(
                f"{self.file}: expected an array {name!r}, got {', '.join(there) or 'none'}{nearest(name, there)}"
            )
        if "train" not in pairs:
            raise DataError(f"{self.file}: arrays: expected those of train, got {', '.join(pairs)}")
        return pairs


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: expected an .npz file that can be read: {error}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: expected an .npz file, with arrays by name, got a single array")
        with archive:
            yield archive


def _read(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: {name}: expected an array of numbers or text that can be read: {error}") from error
    return array
