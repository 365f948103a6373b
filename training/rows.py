"""This module reads rows from a file, and checks real rows against a graph's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.datatypes import DATATYPES
from models.manifest import TensorRecord
from training.errors import RecipeError, one_line


def read_rows(path: Path) -> dict[str, Tensor]:
    """The arrays of an ``.npz`` file, as tensors by name.

    Raises:
        RecipeError: If it is no such file, or holds anything but plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except Exception as error:  # numpy, zipfile and torch raise a dozen kinds for what is no such file
        raise RecipeError(f"{path}: expected an .npz file of plain arrays: {one_line(error)}") from error


def rows_in_order(rows: Mapping[str, Tensor], inputs: Sequence[TensorRecord]) -> list[Tensor]:
    """The rows of every input of a graph, in the order of the inputs.

    Raises:
        RecipeError: If there are others, of another datatype or shape, not finite, or not as many of each.
    """
    names = [record.name for record in inputs]
    if set(rows) != set(names):
        raise RecipeError(f"rows: expected the arrays {sorted(names)}, got {sorted(rows)}")
    for record in inputs:
        array = rows[record.name].numpy()
        if not record.accepts(array.shape) or array.dtype != DATATYPES[record.datatype] or not array.size:
            raise RecipeError(
                f"rows: {record.name}: expected {record.datatype} of shape {list(record.shape)}, "
                f"got {array.dtype} of shape {list(array.shape)}"
            )
        if not np.isfinite(array).all():
            raise RecipeError(f"rows: {record.name}: expected finite values, got NaN or infinity")
    counts = {name: len(rows[name]) for name in names}
    if len(set(counts.values())) > 1:
        raise RecipeError(f"rows: expected the same number of rows in every array, got {counts}")
    return [rows[name] for name in names]
