"""This module parses the JSON of an inference request, and leaves its lists of numbers in the parser's hands.

A request is a few fields and, among them, a hundred thousand numbers. The fields become Python's own objects, as
``fields.py`` reads them; the ``data`` of an input stays where the parser has it, so that ``numbers.py`` can make an
array of it without an object for each number.

This is a shortcut and no other language: what it takes, ``parse_json`` takes too, with the same meaning. Whatever that
can't be said of goes there instead. The parser flattens lists of any form, so the form is proven first: every list and
object that a request needs is counted, and the text must open no other one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
import simdjson

from service.protocol.fields import Json, parse_json

SHORT_BYTES = 1024
"""What is no longer is parsed sooner than looked through."""
KEPT_BYTES = 4 << 20
"""Up to here a parser keeps its memory for the next text, some 15 bytes for each of this one. Without, the system takes
it back after every text and hands it out page by page for the next, which takes longer than parsing."""
MAX_LENGTH = 2**24 - 1
"""Lists that are longer are of this length to the parser."""
FEW_OPENINGS = 20
BYTES_A_SEARCH = 2500
"""Where brackets are few, each is searched for; where a search costs more than looking at all bytes, they are."""
MAX_FIELD_LEVELS = 5
MAX_LEVELS = 32
"""How many lists of numbers may lie in one another: together with the levels of fields far less than JSON may have."""

REQUEST_FIELDS = ("id", "parameters", "inputs", "outputs")
INPUT_FIELDS = ("name", "datatype", "shape", "parameters", "data")
IN_PLACE = ("inputs", "data")
CONTAINERS = frozenset({list, dict, simdjson.Array})


def parse_request(text: bytes) -> Json:
    """Parse the JSON of a request.

    Returns:
        What ``parse_json`` gives, but for two things: fields that nobody reads may be missing, and the ``data`` of an
        input may be a ``simdjson.Array``, in which all lists of one level are of one length.

    Raises:
        InvalidRequest: As ``parse_json``.
    """
    if len(text) > SHORT_BYTES:
        try:
            return _read_request(text)
        except (_OutOfForm, ValueError, RuntimeError):  # the parser's own errors do not say where they are
            pass
    return parse_json(text)


class _OutOfForm(Exception):
    """The text may be a request, but not of the form that is read here."""


def _read_request(text: bytes) -> dict[str, Json]:
    request = _fields(_parse(text), REQUEST_FIELDS)
    inputs = request.get("inputs")
    if not isinstance(inputs, simdjson.Array):
        raise _OutOfForm
    request["inputs"] = [_fields(item, INPUT_FIELDS) for item in inputs]
    if not _opens(text, _openings(request, MAX_FIELD_LEVELS)):
        raise _OutOfForm
    return request


class _Kept(threading.local):
    """The parser of this thread: it can only be at one document at a time."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_KEPT = _Kept()


def _parse(text: bytes) -> object:
    if len(text) > KEPT_BYTES:
        return simdjson.Parser().parse(text)
    try:
        return _KEPT.parser.parse(text)
    except RuntimeError:  # somebody still holds a part of an earlier document, in an error's traceback perhaps
        _KEPT.parser = simdjson.Parser()
        return _KEPT.parser.parse(text)


def _fields(value: object, names: Sequence[str]) -> dict[str, Json]:
    """Those fields of an object that have the names, as Python's own objects but for ``inputs`` and ``data``."""
    if not isinstance(value, simdjson.Object):
        raise _OutOfForm
    keys = set(value)
    # of two fields with one name the parser finds the first, but the last one counts
    if len(keys) < len(value) or len(value) == MAX_LENGTH:
        raise _OutOfForm
    fields: dict[str, Json] = {}
    for name in names:
        if name in keys:
            field: Json = value[name]
            if isinstance(field, simdjson.Object):
                field = field.as_dict()
            elif isinstance(field, simdjson.Array) and name not in IN_PLACE:
                field = field.as_list()
            fields[name] = field
    return fields


def _opens(text: bytes, expected: int) -> bool:
    """Whether a text opens so many lists and objects, and no more; brackets in its strings count too."""
    if expected > FEW_OPENINGS + len(text) // BYTES_A_SEARCH:
        brackets = (np.frombuffer(text, np.uint8) | 0x20) == ord("{")  # of [, 0x20 makes a {
        return int(np.count_nonzero(brackets)) == expected
    found = 0
    for bracket in (b"[", b"{"):
        place = text.find(bracket)
        while place >= 0 and found <= expected:
            found += 1
            place = text.find(bracket, place + 1)
    return found == expected


def _openings(value: Json, levels: int) -> int:
    """How many lists and objects there are, counting this one."""
    if type(value) is simdjson.Array:
        return _openings_of_data(value)
    if not levels:
        raise _OutOfForm
    openings = 1
    for item in value.values() if type(value) is dict else value:
        if type(item) in CONTAINERS:
            openings += _openings(item, levels - 1)
    return openings


def _openings_of_data(data: simdjson.Array) -> int:
    """How many lists a list of lists has, counting itself, where all of one level are of one length."""
    level: list[Json] = [data]
    openings = 1
    for _ in range(MAX_LEVELS):
        if not len(level[0]) or type(level[0][0]) is not simdjson.Array:
            return openings
        level = list(chain.from_iterable(level))
        openings += len(level)
        if set(map(type, level)) != {simdjson.Array} or len(set(map(len, level))) > 1 or len(level[0]) == MAX_LENGTH:
            raise _OutOfForm
    raise _OutOfForm
