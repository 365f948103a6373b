"""This module decodes bodies whose beginning is JSON, as the header of the binary extension says how much of it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from service.errors import InvalidRequest, RequestTooLarge
from service.routes.aside import ASIDE_BYTES
from service.routes.body import Headers, whole_number

HEADER_LENGTH_NAME = "Inference-Header-Content-Length"
HEADER_LENGTH = HEADER_LENGTH_NAME.lower().encode()

Decoded = TypeVar("Decoded")


def header_length(headers: Headers) -> int | None:
    """How many bytes of a body are JSON; None for all of them.

    Args:
        headers: By their names in lower case.

    Raises:
        InvalidRequest: If the header is no number.
    """
    value = headers.get(HEADER_LENGTH)
    if value is None:
        return None
    number = whole_number(value)
    if number is None:
        raise InvalidRequest(f"{HEADER_LENGTH_NAME}: expected a whole number, got {value[:40].decode('latin-1')!r}")
    return number


async def decode_json_part(decode: Callable[..., Decoded], body: bytes, length: int | None, *, limit: int) -> Decoded:
    """Decode a body, in a thread if there is much JSON in it.

    Args:
        decode: Takes the body and, by name, ``header_length``.
        body: All of it.
        length: How many bytes of it are JSON; None for all.
        limit: Most bytes that may be.

    Raises:
        RequestTooLarge: If there is more JSON than that.
        InvalidRequest: As ``decode`` does.
    """
    json_bytes = len(body) if length is None else min(length, len(body))
    if json_bytes > limit:
        raise RequestTooLarge(f"request: expected at most {limit} bytes of JSON, got {json_bytes}")
    if json_bytes <= ASIDE_BYTES:
        return decode(body, header_length=length)
    return await asyncio.to_thread(decode, body, header_length=length)
