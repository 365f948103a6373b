"""This module turns tensors that numpy can't hold as they are into the runtime's values, and back.

Text is ``bytes`` here and ``str`` there; BF16 is held by its 16 bits, see ``models/datatypes.py``.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.datatypes import Datatype
from service.errors import InvalidRequest

BFLOAT16 = 16
"""Its number in ONNX's TensorProto.DataType."""


def is_plain(datatype: Datatype) -> bool:
    """Whether the runtime takes and gives a datatype as numpy arrays of just this form."""
    return datatype not in ("BF16", "BYTES")


def to_runtime(name: str, array: NDArray[Any], datatype: Datatype | None) -> Any:  # noqa: ANN401  the runtime has no types
    """One input as the runtime takes it; ``name`` and ``datatype`` are those of the graph's input.

    Raises:
        InvalidRequest: If bytes are no UTF-8, which is all that the runtime can hold.
    """
    if datatype == "BF16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), BFLOAT16)
    return _text(name, array) if datatype == "BYTES" else array


def as_value(given: Any) -> Any:  # noqa: ANN401
    """What the runtime takes as a value of its own; text can't be one."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(given) if isinstance(given, np.ndarray) else given


def from_runtime(array: NDArray[Any], datatype: Datatype) -> NDArray[Any]:
    """One output that the runtime gives as an array."""
    return _each(array, lambda text: text.encode()) if datatype == "BYTES" else array


def read_value(value: Any, datatype: Datatype) -> NDArray[Any]:  # noqa: ANN401
    """One output that the runtime gives as a value of its own."""
    if datatype != "BF16":
        return from_runtime(value.numpy(), datatype)
    shape = tuple(value.shape())
    if math.prod(shape) == 0:
        return np.empty(shape, np.uint16)
    # numpy has no such type, so the runtime makes no array of it: its memory is read, and copied while it lives
    memory = (ctypes.c_uint16 * math.prod(shape)).from_address(value.data_ptr())
    return np.ctypeslib.as_array(memory).reshape(shape).copy()


def _text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    try:
        return _each(array, lambda data: data.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"inputs: {name}: expected text in UTF-8, got {error.object[:40]!r}: {error.reason}"
        ) from error


def _each(array: NDArray[Any], change: Any) -> NDArray[Any]:  # noqa: ANN401
    changed = np.empty(array.shape, object)
    changed.reshape(-1)[:] = [change(item) for item in array.reshape(-1)]
    return changed
