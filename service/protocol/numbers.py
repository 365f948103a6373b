"""This module turns JSON lists of values into arrays, and back, without losing anything on the way.

A list that ``documents.py`` left in the parser's hands becomes an array there, where all of it fits; every other list
goes value by value, and whatever does not fit is named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.fields import Json, complaint, read_list
from service.protocol.strings import strings_from_json

BINARY_ONLY: frozenset[Datatype] = frozenset({"FP16", "BF16"})
"""Datatypes that other servers of the protocol refuse as JSON numbers, and so does this one."""

ACCEPTED_TYPES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "O": frozenset({str}),
}
"""By the kind of the tensor's datatype, what JSON may hold: a fraction is no whole number, and true is no 1."""

PARSED_AS: Mapping[str, tuple[Literal["i", "u", "d"], np.dtype[Any]]] = {
    "i": ("i", np.dtype(np.int64)),
    "u": ("u", np.dtype(np.uint64)),
    "f": ("d", np.dtype(np.float64)),
}
"""By the kind of the tensor's datatype, as what the parser writes numbers: its name for that, and numpy's."""


def array_of(data: Json | simdjson.Array, datatype: Datatype, where: str) -> NDArray[Any]:
    """A nested or flat list as a flat array of a datatype.

    Args:
        data: As the parser gave it; in its own form only if no list of one level differs in length.
        datatype: Of the tensor.
        where: What the list is called in an error.

    Raises:
        InvalidRequest: If it holds anything but values of the datatype, is ragged, or a number does not fit.
    """
    if datatype in BINARY_ONLY:
        raise InvalidRequest(f"{where}: expected {datatype} as binary data, got JSON")
    if isinstance(data, simdjson.Array):
        array = _from_parser(data, DATATYPES[datatype])
        if array is not None:
            return array
        data = data.as_list()
    return _from_values(read_list(data, where), datatype, where)


def json_of(array: NDArray[Any]) -> bytes:
    """A flat JSON list of an array's numbers, row by row; NaN and infinity as the literals NaN and Infinity."""
    flat = array.ravel()
    written = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for what JSON has no number for
    if flat.dtype.kind == "f" and b"n" in written:
        return json.dumps(flat.tolist()).encode()
    return written


def _from_parser(data: simdjson.Array, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """The numbers of a regular list; None where one of its values is no number that the datatype can hold."""
    if dtype.kind not in PARSED_AS:
        return None
    of_type, parsed_dtype = PARSED_AS[dtype.kind]
    try:
        parsed = np.frombuffer(data.as_buffer(of_type=of_type), parsed_dtype)
        with np.errstate(over="raise"):
            array = parsed.astype(dtype, copy=False)
    except (TypeError, ValueError, RuntimeError, FloatingPointError):  # the parser has an error for each kind of misfit
        return None
    if dtype.kind != "f" and dtype.itemsize < parsed.itemsize and (array != parsed).any():
        return None
    return array


def _from_values(values: list[Json], datatype: Datatype, where: str) -> NDArray[Any]:
    dtype = DATATYPES[datatype]
    numbers = _flatten(values, datatype, where)
    if not ACCEPTED_TYPES[dtype.kind].issuperset(map(type, numbers)):
        raise complaint(where, f"values of {datatype}", values)
    if datatype == "BYTES":
        return strings_from_json(numbers, where)
    try:
        with np.errstate(over="ignore"):
            array = np.array(numbers, dtype)
    except OverflowError as error:
        raise _does_not_fit(numbers, datatype, where) from error
    if dtype.kind == "f" and not all(abs(numbers[index]) == math.inf for index in np.flatnonzero(np.isinf(array))):
        raise _does_not_fit(numbers, datatype, where)
    return array


def _flatten(data: list[Json], datatype: Datatype, where: str) -> list[Json]:
    """All values of nested lists, row by row; lists of one level must be of one length."""
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
