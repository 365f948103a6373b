"""This module lets a job leave when SIGTERM or SIGINT ask it to: at once, or where it can be continued from.

A second signal ends the process on the spot. That loses no more than a kill does: every file is written beside its
place and renamed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked the job to leave. No ``except Exception`` on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interruption:
    """While it is entered, the first signal raises ``Interrupted``: wherever the job is, or at the end of a stretch.

    Only the main thread of a process can enter it. A signal that whoever started the process has it ignore, as shells
    do with SIGINT for what runs in the background, stays ignored.

    Attributes:
        received: The signal that has come, if any.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._is_deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def ignore(self) -> None:
        """Let no signal break anything off any more: what was to be done is done. Nothing where it was not entered."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def listen(self) -> None:
        """Take the signals (back, where a library has taken them); nothing where it was not entered."""
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._receive)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """A stretch that a signal does not break off: it calls ``leave`` where it can, and so does its end."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        self.leave()

    def leave(self) -> None:
        """Raise ``Interrupted`` if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        if not self._is_deferred:
            raise Interrupted(number)
