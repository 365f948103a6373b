"""This module reads rows from a file, and checks real rows against a graph's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from folding.errors import RowsError, one_line
from models.datatypes import DATATYPES
from models.manifest import TensorRecord


def read_rows(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file, by name.

    Raises:
        RowsError: If it is no such file, or holds anything but plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy and zipfile raise a dozen kinds for what is no such file
        raise RowsError(f"{path}: expected an .npz file of plain arrays: {one_line(error)}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
            raise RowsError(f"{path}: expected an .npz file of plain arrays: {name!r} holds no numbers")
    return arrays


def rows_in_order(rows: Mapping[str, NDArray[Any]], inputs: Sequence[TensorRecord]) -> list[NDArray[Any]]:
    """The rows of every input of a graph, in the order of the inputs.

    Raises:
        RowsError: If there are others, of another datatype or shape, not finite, or not as many of each.
    """
    names = [record.name for record in inputs]
    if set(rows) != set(names):
        raise RowsError(f"rows: expected the arrays {sorted(names)}, got {sorted(rows)}")
    for record in inputs:
        array = rows[record.name]
        if not record.accepts(array.shape) or array.dtype != DATATYPES[record.datatype] or not array.size:
            raise RowsError(
                f"rows: {record.name}: expected {record.datatype} of shape {list(record.shape)}, "
                f"got {array.dtype} of shape {list(array.shape)}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            (bad,) = np.nonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
            raise RowsError(
                f"rows: {record.name}: expected finite values, got NaN or infinity in {bad.size} rows, of which the "
                f"first is {bad[0]}"
            )
    counts = {name: len(rows[name]) for name in names}
    if len(set(counts.values())) > 1:
        raise RowsError(f"rows: expected the same number of rows in every array, got {counts}")
    return [rows[name] for name in names]
