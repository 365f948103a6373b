"""This module reads and writes compressed bodies: gzip, and deflate, which is a zlib stream.

A small body can inflate to a thousand times its size, so it is never inflated further than is taken.

Source: RFC 1950 (zlib), RFC 1952 (gzip), RFC 9110, section 12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from typing import Final, Literal, get_args

from service.errors import InvalidRequest, RequestTooLarge, UnsupportedEncoding

Encoding = Literal["gzip", "deflate"]

ACCEPTED_ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)
"""In the order in which they are preferred."""
LEVEL = 1
"""Tensors hardly get smaller at a higher one, only slower."""
MAX_MEMBERS = 1000
"""How many streams a gzip body may be made of: each costs some 10 us, even if it holds nothing."""

_WINDOW_BITS: Mapping[Encoding, int] = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_STEP_BYTES = 1 << 16
_ACCEPTED = re.compile(r"\s*([a-z0-9!#$%&'*+.^_`|~-]+)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.IGNORECASE)


def decompress(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Inflate a body.

    Args:
        body: All of it.
        encoding: What its ``Content-Encoding`` says; not case-sensitive.
        limit: How many inflated bytes are taken; hardly more than that is ever in memory.

    Raises:
        UnsupportedEncoding: If it is no encoding that is read here.
        RequestTooLarge: If more comes out.
        InvalidRequest: If it is not so encoded, ends too early, or goes on behind its end.
    """
    known = _known(encoding)
    inflated = io.BytesIO()
    rest = memoryview(body)
    members = 0
    while rest or not members:
        if members == (MAX_MEMBERS if known == "gzip" else 1):
            raise _damaged(known, f"{len(rest)} bytes behind its end")
        rest = _inflate(rest, known, inflated, limit)
        members += 1
    return inflated.getvalue()


def choose_encoding(accept_encoding: str) -> Encoding | None:
    """How an answer may be compressed, by the request's ``Accept-Encoding``: as the client likes best, gzip on ties.

    None if the client wants it as it is, or names no encoding that is written here. ``*`` counts as no name, and what
    is malformed is passed over.
    """
    weights = {}
    for item in accept_encoding.split(","):
        if match := _ACCEPTED.fullmatch(item):
            weights[match[1].lower()] = float(match[2] or 1)
    best = max(ACCEPTED_ENCODINGS, key=lambda encoding: weights.get(encoding, 0))
    return best if weights.get(best, 0) > 0 and weights[best] >= weights.get("identity", 0) else None


def compress(body: bytes, encoding: Encoding) -> bytes:
    """Deflate a body, fast rather than small."""
    return zlib.compress(body, LEVEL, _WINDOW_BITS[encoding])


def _known(encoding: str) -> Encoding:
    for known in ACCEPTED_ENCODINGS:
        if encoding.lower() == known:
            return known
    raise UnsupportedEncoding(f"Content-Encoding: expected {' or '.join(ACCEPTED_ENCODINGS)}, got {encoding[:40]!r}")


def _inflate(data: memoryview, encoding: Encoding, inflated: io.BytesIO, limit: int) -> memoryview:
    """Inflate one stream from the front of the data, and give what lies behind it."""
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    start = 0
    # step by step, since what a step leaves over is copied
    while not stream.eof:
        step = stream.unconsumed_tail or data[start : start + _STEP_BYTES]
        if not step:
            raise _damaged(encoding, "one that ends too early")
        if not stream.unconsumed_tail:
            start += len(step)
        try:
            inflated.write(stream.decompress(step, _STEP_BYTES))
        except zlib.error as error:
            raise _damaged(encoding, str(error)) from error
        if inflated.tell() > limit:
            raise RequestTooLarge(f"request: expected at most {limit} bytes once decompressed, got more")
    return data[start - len(stream.unused_data) :]


def _damaged(encoding: Encoding, got: str) -> InvalidRequest:
    return InvalidRequest(f"request: expected a body in {encoding}, as Content-Encoding says, got {got}")
