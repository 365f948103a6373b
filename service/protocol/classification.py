"""This module gives the best classes in place of an output: the classification extension.

Every class is one string, ``value:index`` or ``value:index:label``.

Source: Triton's classification extension.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.errors import InvalidRequest
from service.protocol.messages import Array, Tensor
from service.protocol.strings import strings_of

MAX_CLASSIFIED = 1_000_000
"""How many strings one output may become: each costs a hundred times what its number does."""


def classify(tensor: Tensor, k: int, labels: Sequence[str] | None) -> Tensor:
    """The best classes of every row, by falling value; equal ones by their index, NaN last.

    Args:
        tensor: Of numbers, its first dimension the rows; all other dimensions together are the classes.
        k: How many are wanted, above 0.
        labels: What the classes are called, as far as they have names.

    Returns:
        A tensor of BYTES, of shape ``(rows, min(k, classes))``.

    Raises:
        InvalidRequest: If the output is no numbers, or too many strings would come of it.
    """
    values = _values(tensor)
    count = min(k, values.shape[1])
    if len(values) * count > MAX_CLASSIFIED:
        raise InvalidRequest(
            f"outputs: expected a classification of {tensor.name!r} with at most {MAX_CLASSIFIED} strings, "
            f"got {len(values)} rows of {count}"
        )
    # numpy sorts upwards, NaN last; the complement turns whole numbers around without leaving their range
    falling = -values if values.dtype.kind == "f" else ~values
    order = np.argsort(falling, axis=1, kind="stable")[:, :count]
    best = np.take_along_axis(values, order, axis=1)
    form = "%f:%d" if values.dtype.kind == "f" else "%d:%d"
    strings = (
        (form % (value, index) + _label(labels, index)).encode()
        for value, index in zip(best.ravel().tolist(), order.ravel().tolist(), strict=True)
    )
    return Tensor(tensor.name, "BYTES", strings_of(strings).reshape(order.shape))


def _values(tensor: Tensor) -> Array:
    """One row of classes for every row; half precision as numbers that can be printed."""
    if tensor.datatype in ("BOOL", "BYTES"):
        raise InvalidRequest(
            f"outputs: expected numbers in {tensor.name!r}, which is to be classified, got {tensor.datatype}"
        )
    array = tensor.array
    if tensor.datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    rows = len(array) if array.ndim else 1
    return array.reshape(rows, array.size // rows if rows else 0)


def _label(labels: Sequence[str] | None, index: int) -> str:
    return f":{labels[index]}" if labels is not None and index < len(labels) else ""
