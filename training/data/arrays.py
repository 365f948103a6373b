"""This module takes arrays of numbers in as the values of rows.

Bytes stay bytes, so that pixels take a quarter of the memory; everything else becomes float32. Rows are counted from 1.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import DataError

Channels = Literal["first", "last", "none"]
"""Where a row's channels lie: along its first axis, along its last one, or there are none and it gets one."""


def as_values(array: NDArray[Any], place: str, channels: Channels = "first") -> Tensor:
    """Values ``(rows, ...)`` of an array, channels along axis 1.

    Args:
        array: Numbers, one row along axis 0.
        place: What messages name it.
        channels: Where the channels of a row lie.

    Raises:
        DataError: If it holds other than numbers, or one that is not finite in float32.
    """
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise DataError(f"{place}: expected rows of values, shape (rows, ...), got shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place}: expected numbers, got {array.dtype}")
    if channels == "last":
        array = np.moveaxis(array, -1, 1)
    elif channels == "none":
        array = array[:, None]
    if array.dtype in (np.uint8, np.bool_):
        return torch.from_numpy(array.astype(np.uint8, order="C"))
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32, order="C")
    for row in np.flatnonzero(~np.isfinite(numbers).all(axis=tuple(range(1, numbers.ndim))))[:1]:
        (worst, *_) = array[row][~np.isfinite(numbers[row])]
        raise DataError(f"{place}: row {row + 1}: expected numbers that are finite in float32, got {worst}")
    return torch.from_numpy(numbers)


def refuse_unequal(values: Tensor, labels: NDArray[Any], places: tuple[str, str]) -> None:
    """Raise DataError unless there are as many rows of values as labels; ``places`` are what messages name the two."""
    if labels.ndim and len(values) != len(labels):  # what is no row of labels is refused as such
        raise DataError(
            f"{places[0]}: expected as many rows as {places[1]} has labels, {len(labels)}, got {len(values)}"
        )
