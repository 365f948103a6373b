"""This module turns JSON lists of numbers into arrays, and back, without losing anything on the way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.fields import Json, complaint, read_list

BINARY_ONLY: frozenset[Datatype] = frozenset({"FP16"})
"""Datatypes that other servers of the protocol refuse as JSON numbers, and so does this one."""

ACCEPTED_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
"""By the kind of the tensor's datatype, the kinds of JSON numbers that fit: a fraction is no whole number."""


def array_of(data: Json, datatype: Datatype, where: str) -> NDArray[Any]:
    """A nested or flat list as a flat array of a datatype.

    Raises:
        InvalidRequest: If it holds anything but numbers, is ragged, or a number does not fit the datatype.
    """
    dtype = DATATYPES[datatype]
    if datatype in BINARY_ONLY:
        raise InvalidRequest(f"{where}: expected {datatype} as binary data, got JSON numbers")
    numbers = _parsed(read_list(data, where), datatype, where).reshape(-1)
    if numbers.size == 0:
        return numbers.astype(dtype)
    if numbers.dtype.kind not in ACCEPTED_KINDS[dtype.kind]:
        raise complaint(where, f"values of {datatype}", data)
    with np.errstate(over="ignore"):
        array = numbers.astype(dtype)
    _refuse_overflow(numbers, array, datatype, where)
    return array


def json_of(array: NDArray[Any]) -> bytes:
    """A flat JSON list of an array's numbers, row by row; NaN and infinity as the literals NaN and Infinity."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return json.dumps(flat.tolist()).encode()
    if flat.dtype == np.float16:
        flat = flat.astype(np.float32)  # orjson knows no half
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)


def _parsed(data: list[Json], datatype: Datatype, where: str) -> NDArray[Any]:
    try:
        return np.array(data)
    except (ValueError, OverflowError) as error:
        raise complaint(where, f"values of {datatype} in lists of equal length", data) from error


def _refuse_overflow(numbers: NDArray[Any], array: NDArray[Any], datatype: Datatype, where: str) -> None:
    if array.dtype.kind == "f":
        lost = np.isinf(array)
        lost &= np.isfinite(numbers)
    else:
        lost = array != numbers
    if lost.any():
        index = int(lost.argmax())
        raise complaint(f"{where}[{index}]", f"a value that {datatype} can hold", numbers[index].item())
