"""This module reads the body of a request, up to a limit, whatever its content type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import Receive

from service.errors import RequestTooLarge, UnsupportedEncoding

Headers = Mapping[bytes, bytes]
_MAX_DIGITS = 18


def pick_headers(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> dict[bytes, bytes]:
    """Those headers of a request, by their names in lower case; of one that comes twice the last."""
    return {name: value for name, value in headers if name in names}


def whole_number(text: bytes) -> int | None:
    """The number that digits write, or None if they are no such number; a number no body can reach is none."""
    return int(text) if text.isdigit() and len(text) <= _MAX_DIGITS else None


BODY_HEADERS = frozenset({b"content-encoding", b"content-length"})


async def read_body(receive: Receive, headers: Headers, *, limit: int) -> bytes | None:
    """All of the body, or None where the client went away.

    Args:
        receive: Of the ASGI server.
        headers: At least ``BODY_HEADERS``, where the request has them.
        limit: How many bytes are taken.

    Raises:
        RequestTooLarge: As soon as more are announced, or come.
        UnsupportedEncoding: If the body is compressed.
    """
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise UnsupportedEncoding(f"Content-Encoding: expected identity, got {encoding.decode('latin-1')!r}")
    # a length that is none is the server's to refuse; what really comes is counted below
    _refuse_above(limit, whole_number(headers.get(b"content-length", b"0")) or 0)
    chunks: list[bytes] = []
    received = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        received += len(chunks[-1])
        _refuse_above(limit, received)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _refuse_above(limit: int, size: int) -> None:
    if size > limit:
        raise RequestTooLarge(f"request: expected at most {limit} bytes, got {size} or more")
