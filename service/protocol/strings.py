"""This module turns strings into tensors of BYTES, and back: as bytes of any content, or as JSON strings in UTF-8.

As bytes, every string follows its length, 4 bytes little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.errors import InvalidRequest

LENGTH_BYTES = 4

Strings = NDArray[np.object_]
"""An array of ``bytes``."""


def strings_of(values: Iterable[bytes]) -> Strings:
    """A flat tensor of strings."""
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def strings_from_bytes(data: memoryview, count: int, where: str) -> Strings:
    """As many strings as are expected, each behind its length, as a flat tensor.

    Raises:
        InvalidRequest: If the bytes end too early, or too late.
    """
    values: list[bytes] = []
    start = 0
    for index in range(count):
        end = start + LENGTH_BYTES
        length = int.from_bytes(data[start:end], "little")
        if end + length > len(data):
            raise InvalidRequest(
                f"{where}: expected {count} strings, each behind its length in {LENGTH_BYTES} bytes, "
                f"got {len(data)} bytes, in which string {index} does not end"
            )
        values.append(bytes(data[end : end + length]))
        start = end + length
    if start < len(data):
        raise InvalidRequest(f"{where}: expected {count} strings in {start} bytes, got {len(data)}")
    return strings_of(values)


def strings_to_json(array: NDArray[Any], name: str) -> bytes:
    """A flat JSON list of a tensor's strings.

    Raises:
        InvalidRequest: If one is not in UTF-8, which only binary data can carry.
    """
    try:
        return orjson.dumps([value.decode() for value in array.flat])
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"outputs: expected strings in UTF-8 in the JSON of {name!r}, got other bytes; ask for it as binary data"
        ) from error


def strings_to_bytes(array: NDArray[Any]) -> bytes:
    """A tensor's strings, each behind its length."""
    return b"".join(part for value in array.flat for part in (len(value).to_bytes(LENGTH_BYTES, "little"), value))
