"""This module is one connection of the load generator: it sends prepared bytes and reads just enough of an answer.

Of an answer only the status and the content length are looked at; the rest is counted. The generator shares the
machine with the server that it measures, so every microsecond spent here is taken from the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

HEAD_END = b"\r\n\r\n"
STATUS = slice(9, 12)
"""Where the status is in ``HTTP/1.1 200 OK``."""
LENGTH = b"\r\ncontent-length:"


class AnswerError(Exception):
    """An answer that the generator can't read."""


class Connection(asyncio.Protocol):
    """A connection that is kept alive, with one request under way at a time.

    Args:
        answered: Called with this connection and whether the status was 200, once an answer is complete.
        lost: Called with this connection if it ends, whoever ended it.

    Attributes:
        due: When the request under way should have been sent, on the clock of the loop.
        busy: Whether a request is under way.
    """

    __slots__ = ("_answered", "_head", "_lost", "_remaining", "_success", "_transport", "busy", "due")

    def __init__(self, answered: Callable[[Connection, bool], None], lost: Callable[[Connection], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._head = b""
        self._remaining = 0
        self._success = False
        self._transport: asyncio.Transport | None = None
        self.due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server or this side has ended it."""
        del exc
        self._lost(self)

    def send(self, request: bytes, *, due: float) -> None:
        """Send a request, head and body."""
        assert self._transport is not None
        self.busy = True
        self.due = due
        self._transport.write(request)

    def abort(self) -> None:
        """End it, whatever is under way."""
        assert self._transport is not None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count what comes in, and tell once it is a whole answer."""
        if self._remaining:
            self._count(len(data))
            return
        if self._head:
            data = self._head + data
        end = data.find(HEAD_END)
        if end < 0:
            self._head = data
            return
        self._head = b""
        self._success = data[STATUS] == b"200"
        self._remaining = content_length(data[:end])
        self._count(len(data) - end - len(HEAD_END))

    def _count(self, received: int) -> None:
        self._remaining -= received
        if self._remaining < 0:
            raise AnswerError(f"expected the end of the answer, got {-self._remaining} bytes more")
        if self._remaining == 0:
            self.busy = False
            self._answered(self, self._success)


def content_length(head: bytes) -> int:
    """How long the body behind a head is.

    Raises:
        AnswerError: If the head does not say.
    """
    start = head.lower().find(LENGTH)
    if start < 0:
        raise AnswerError(f"expected a content length, got {head[:200]!r}")
    start += len(LENGTH)
    end = head.find(b"\r\n", start)
    return int(head[start : end if end >= 0 else len(head)])
