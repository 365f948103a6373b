"""This module reads the body of a request, up to a limit, whatever its content type."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from starlette.types import Receive

from service.errors import ClientGone, DeadlineExceeded, Overloaded, RequestTooLarge
from service.protocol.compression import decompress
from service.routes.aside import aside

Headers = Mapping[bytes, bytes]
BODY_HEADERS = frozenset({b"content-encoding", b"content-length"})
_MAX_DIGITS = 18


class HeldBytes:
    """How many bytes of bodies the process holds at once; what would be more is refused.

    Args:
        limit: Most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Hold some more.

        Raises:
            Overloaded: If they would be too many.
        """
        if self._held + size > self._limit:
            raise Overloaded(
                f"expected at most {self._limit} bytes of requests that are held at once, got {size} more",
                retry_after_s=1.0,
            )
        self._held += size

    def give_back(self, size: int) -> None:
        """Hold some no longer."""
        self._held -= size

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[int], None]]:
        """What counts bytes as held, until this ends."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            self.take(size)
            held += size

        try:
            yield hold
        finally:
            self.give_back(held)


def pick_headers(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> dict[bytes, bytes]:
    """Those headers of a request, by their names in lower case; of one that comes twice the last."""
    return {name: value for name, value in headers if name in names}


def whole_number(text: bytes) -> int | None:
    """The number that digits write, or None if they are no such number; a number no body can reach is none."""
    return int(text) if text.isdigit() and len(text) <= _MAX_DIGITS else None


def _uncounted(_size: int) -> None:
    pass


async def read_body(
    receive: Receive,
    headers: Headers,
    *,
    limit: int,
    timeout_s: float | None = None,
    hold: Callable[[int], None] = _uncounted,
) -> bytes:
    """All of the body, decompressed.

    Args:
        receive: Of the ASGI server.
        headers: At least ``BODY_HEADERS``, where the request has them.
        limit: How many bytes are taken, before and after decompression.
        timeout_s: How long to wait for what is not here yet; None for ever.
        hold: Told of the bytes as they come; it may refuse them.

    Raises:
        RequestTooLarge: As soon as more are announced, or come, or come out of it.
        UnsupportedEncoding: If it is compressed in a way that is not read here.
        InvalidRequest: If it can't be decompressed.
        DeadlineExceeded: If they do not come in time.
        ClientGone: If the client goes away meanwhile.
        Overloaded: If ``hold`` refuses them.
    """
    # a length that is none is the server's to refuse; what really comes is counted below
    _refuse_above(limit, whole_number(headers.get(b"content-length", b"0")) or 0)
    message = await receive()  # what came with the head is here already, so this needs no clock
    if message["type"] == "http.disconnect":
        raise _gone()
    body: bytes = message.get("body", b"")
    hold(len(body))
    if message.get("more_body", False):
        try:
            async with asyncio.timeout(timeout_s):
                body = await _read_on(receive, body, limit, hold)
        except TimeoutError as error:
            assert timeout_s is not None, "it ended"
            raise DeadlineExceeded(
                f"request_timeout_ms: expected all of the body within {timeout_s * 1e3:g} ms, got a part of it"
            ) from error
    _refuse_above(limit, len(body))
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
    if encoding != "identity":
        body = await aside(partial(decompress, limit=limit), body, encoding, size=len(body))
        hold(len(body))
    return body


async def _read_on(receive: Receive, first: bytes, limit: int, hold: Callable[[int], None]) -> bytes:
    chunks, received = [first], len(first)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _gone()
        chunk = message.get("body", b"")
        hold(len(chunk))
        chunks.append(chunk)
        received += len(chunk)
        _refuse_above(limit, received)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _gone() -> ClientGone:
    return ClientGone("request: expected all of its body, the client is gone")


def _refuse_above(limit: int, size: int) -> None:
    if size > limit:
        raise RequestTooLarge(f"request: expected at most {limit} bytes, got {size} or more")
