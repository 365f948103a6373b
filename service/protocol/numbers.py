"""This module turns JSON lists of numbers into arrays, and back, without losing anything on the way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.fields import Json, complaint, read_list

BINARY_ONLY: frozenset[Datatype] = frozenset({"FP16"})
"""Datatypes that other servers of the protocol refuse as JSON numbers, and so does this one."""

ACCEPTED_TYPES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
}
"""By the kind of the tensor's datatype, what JSON may hold: a fraction is no whole number, and true is no 1."""


def array_of(data: Json, datatype: Datatype, where: str) -> NDArray[Any]:
    """A nested or flat list as a flat array of a datatype.

    Raises:
        InvalidRequest: If it holds anything but numbers, is ragged, or a number does not fit the datatype.
    """
    dtype = DATATYPES[datatype]
    if datatype in BINARY_ONLY:
        raise InvalidRequest(f"{where}: expected {datatype} as binary data, got JSON numbers")
    numbers = _flatten(read_list(data, where), datatype, where)
    if not ACCEPTED_TYPES[dtype.kind].issuperset(map(type, numbers)):
        raise complaint(where, f"values of {datatype}", data)
    try:
        with np.errstate(over="ignore"):
            array = np.array(numbers, dtype)
    except OverflowError as error:
        raise _does_not_fit(numbers, datatype, where) from error
    if dtype.kind == "f" and not all(abs(numbers[index]) == math.inf for index in np.flatnonzero(np.isinf(array))):
        raise _does_not_fit(numbers, datatype, where)
    return array


def json_of(array: NDArray[Any]) -> bytes:
    """A flat JSON list of an array's numbers, row by row; NaN and infinity as the literals NaN and Infinity."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return json.dumps(flat.tolist()).encode()
    if flat.dtype == np.float16:
        flat = flat.astype(np.float32)  # orjson knows no half
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)


def _flatten(data: list[Json], datatype: Datatype, where: str) -> list[Json]:
    """All numbers of nested lists, row by row; lists of one level must be of one length."""
    while data and type(data[0]) is list:
        if any(type(item) is not list for item in data) or len(set(map(len, data))) > 1:
            raise complaint(where, f"values of {datatype} in lists of equal length", data)
        data = list(chain.from_iterable(data))
    return data


def _does_not_fit(numbers: list[Json], datatype: Datatype, where: str) -> InvalidRequest:
    """The error that names the first number beyond a datatype's range."""
    dtype = DATATYPES[datatype]
    low: float
    high: float
    if dtype.kind == "f":
        low, high = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for index, number in enumerate(numbers):
        if (number < low or number > high) and abs(number) != math.inf:
            return complaint(f"{where}[{index}]", f"a value that {datatype} can hold", number)
    raise AssertionError("called for numbers of which one does not fit")
