"""This module turns JSON lists of values into arrays, and back, without losing anything on the way.

A list that ``documents.py`` left in the parser's hands becomes an array there, where all of it fits; every other list
goes value by value, and whatever does not fit is named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype
from service.errors import InvalidRequest
from service.protocol.fields import Json, complaint, read_list
from service.protocol.strings import strings_of

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

EXPECTED: Mapping[str, str] = {
    "b": "true or false",
    "i": "a whole number",
    "u": "a whole number",
    "f": "a number",
    "O": "a string",
}
"""The same for people."""

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
    flat, lengths = _flatten(values, where)
    accepted = ACCEPTED_TYPES[dtype.kind]
    if not accepted.issuperset(map(type, flat)):
        index = next(index for index, value in enumerate(flat) if type(value) not in accepted)
        raise complaint(_place(where, index, lengths), f"{EXPECTED[dtype.kind]} ({datatype})", flat[index])
    if datatype == "BYTES":
        try:
            return strings_of([value.encode() for value in flat])
        except UnicodeEncodeError as error:  # half of a surrogate pair, which UTF-8 can't say
            place = _place(where, flat.index(error.object), lengths)
            raise complaint(place, "a string of Unicode characters (BYTES)", error.object) from error
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype)
    except OverflowError as error:
        raise _does_not_fit(flat, datatype, where, lengths) from error
    if dtype.kind == "f" and not all(abs(flat[index]) == math.inf for index in np.flatnonzero(np.isinf(array))):
        raise _does_not_fit(flat, datatype, where, lengths)
    return array


def _flatten(data: list[Json], where: str) -> tuple[list[Json], list[int]]:
    """All values of nested lists, row by row, and how long the lists of each level are: all of one length."""
    lengths = [len(data)]
    while data and type(data[0]) is list:
        length = len(data[0])
        if any(type(item) is not list for item in data) or len(set(map(len, data))) > 1:
            index = next(i for i, item in enumerate(data) if type(item) is not list or len(item) != length)
            raise complaint(_place(where, index, lengths), f"a list of {length}, as the first one is", data[index])
        lengths.append(length)
        data = list(chain.from_iterable(data))
    return data, lengths


def _place(where: str, index: int, lengths: Sequence[int]) -> str:
    """What a value is called in the lists that it came in, of all values the one at ``index``."""
    parts = []
    for length in reversed(lengths):
        index, part = divmod(index, length)
        parts.append(f"[{part}]")
    return where + "".join(reversed(parts))


def _does_not_fit(flat: list[Json], datatype: Datatype, where: str, lengths: Sequence[int]) -> InvalidRequest:
    """The error that names the first number beyond a datatype's range."""
    dtype = DATATYPES[datatype]
    low: float
    high: float
    if dtype.kind == "f":
        low, high = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for index, number in enumerate(flat):
        if (number < low or number > high) and abs(number) != math.inf:
            return complaint(_place(where, index, lengths), f"a value that {datatype} can hold", number)
    raise AssertionError("called for numbers of which one does not fit")
