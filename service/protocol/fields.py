"""This module reads fields of parsed JSON, and says which one is wrong.

Every complaint has one form: ``inputs[0].shape: expected a list of whole numbers, got "4"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import orjson

from service.errors import InvalidRequest

SHOWN_CHARACTERS = 60
MAX_NESTING = 100
"""How many lists and objects may lie in one another; as many as other servers of the protocol take."""
MAX_WHOLE_NUMBER = 2**64 - 1

Json = Any
"""What a JSON parser gives; every use checks before it trusts."""


def parse_json(text: bytes, where: str = "request") -> Json:
    """Parse JSON; beyond the standard, the bare literals NaN, Infinity and -Infinity are numbers.

    Other servers of the protocol read and write them, and there is no other way to say them in JSON.

    Args:
        text: In UTF-8.
        where: What it is called in an error.

    Raises:
        InvalidRequest: If it is no JSON, the text says where; or if it is nested too deeply.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Rare, so slow is fine: the literals, or an error whose place the standard library names best.
        document = _parse_literals(text, where)
    # What opens nothing more often than that can't be nested more deeply.
    if text.count(b"[") + text.count(b"{") > MAX_NESTING:
        _refuse_deep(document, where)
    return document


def _parse_literals(text: bytes, where: str) -> Json:
    try:
        return json.loads(text, parse_float=_float)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{where}: expected JSON in UTF-8, got {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise InvalidRequest(f"{where}: expected JSON, got something else at {place}: {error.msg}") from error
    except ValueError as error:
        raise InvalidRequest(f"{where}: expected JSON with numbers that fit into 64 bits, got a larger one") from error
    except RecursionError as error:
        raise _too_deep(where) from error


def _refuse_deep(document: Json, where: str) -> None:
    """Refuse what is nested too deeply, level by level: nothing here may recurse as deeply as a client likes."""
    level: list[Json] = [[document]]
    for _ in range(MAX_NESTING + 1):
        items = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)
        level = [item for item in items if isinstance(item, (list, dict))]
        if not level:
            return
    raise _too_deep(where)


def _too_deep(where: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: expected JSON that is nested at most {MAX_NESTING} times, got a deeper one")


def complaint(where: str, expected: str, got: Json) -> InvalidRequest:
    """The error that says what was expected at a place, and what came; long values are cut."""
    shown = json.dumps(_excerpt(got, depth=3), default=str)
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[:SHOWN_CHARACTERS] + "..."
    return InvalidRequest(f"{where}: expected {expected}, got {shown}")


def _excerpt(value: Json, depth: int) -> Json:
    """The beginning of a value: what comes may be a hundred thousand numbers, or a thousand lists in one another."""
    if isinstance(value, str):
        return value[:SHOWN_CHARACTERS]
    if not isinstance(value, list | dict):
        return value
    if depth == 0:
        return "..."
    if isinstance(value, list):
        return [_excerpt(item, depth - 1) for item in value[:SHOWN_CHARACTERS]]
    return {key[:SHOWN_CHARACTERS]: _excerpt(value[key], depth - 1) for key in list(value)[:SHOWN_CHARACTERS]}


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond 64 bits")
    return number


def read_object(value: Json, where: str) -> Mapping[str, Json]:
    """Take an object; a field that is null or left out counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise complaint(where, "an object", value)
    return value


def read_list(value: Json, where: str) -> list[Json]:
    """Take a list."""
    if not isinstance(value, list):
        raise complaint(where, "a list", value)
    return value


def read_string(value: Json, where: str) -> str:
    """Take a string."""
    if not isinstance(value, str):
        raise complaint(where, "a string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair, which no answer could give back
            raise complaint(where, "a string of Unicode characters", value) from error
    return value


def read_flag(value: Json, where: str, *, default: bool) -> bool:
    """Take true or false; ``default`` where it is left out."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise complaint(where, "true or false", value)
    return value


def read_count(value: Json, where: str, *, default: int | None = None) -> int:
    """Take a whole number that is not negative, and that 64 bits can hold; ``default`` where it may be left out."""
    if value is None and default is not None:
        return default
    if type(value) is not int or value < 0:
        raise complaint(where, "a whole number, 0 or more", value)
    if value > MAX_WHOLE_NUMBER:
        raise complaint(where, f"a whole number, at most {MAX_WHOLE_NUMBER}", value)
    return value


def read_counts(value: Json, where: str) -> list[int]:
    """Take a list of whole numbers, none of them negative."""
    counts = read_list(value, where)
    for index, count in enumerate(counts):
        if type(count) is not int or not 0 <= count <= MAX_WHOLE_NUMBER:
            read_count(count, f"{where}[{index}]")
    return counts
