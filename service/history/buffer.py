"""This module holds the windows that wait to be stored, no more of them than there is room for.

Where there is no room the oldest goes: while a database is away, what the layers see now says more about the service
than what they saw when it went.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from service.history.window import Window


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """How much may wait.

    Attributes:
        windows: Most windows.
        nbytes: Most bytes of all of them, about.
    """

    windows: int = 10_000
    nbytes: int = 64 * 2**20


class Buffer:
    """Windows in the order in which they came; any thread adds, one takes.

    Args:
        limits: How much may wait, with what was taken and is neither done nor put back.
    """

    def __init__(self, limits: BufferLimits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: deque[Window] = deque()
        self._taken = 0
        self._nbytes = 0  # of both
        self._closed = False

    def __len__(self) -> int:
        """How many wait or were taken."""
        return len(self._waiting) + self._taken

    def add(self, window: Window) -> int:
        """Add a window; never waits for more than another thread's few lines here.

        Returns:
            How many were dropped for it; it is one of them if all else was taken, or the buffer is closed.
        """
        with self._changed:
            if self._closed:
                return 1
            self._waiting.append(window)
            self._nbytes += window.nbytes
            self._changed.notify()
            return self._trim()

    def take(self, most: int, most_bytes: int) -> list[Window]:
        """Take the oldest windows, none if none waits; at least one whatever its bytes."""
        taken: list[Window] = []
        with self._changed:
            room = most_bytes
            while self._waiting and len(taken) < most and (not taken or self._waiting[0].nbytes <= room):
                taken.append(self._waiting.popleft())
                room -= taken[-1].nbytes
            self._taken += len(taken)
        return taken

    def done(self, taken: Sequence[Window]) -> None:
        """Forget windows that were taken."""
        with self._changed:
            self._taken -= len(taken)
            self._nbytes -= sum(window.nbytes for window in taken)

    def put_back(self, taken: Sequence[Window]) -> int:
        """Let windows that were taken wait again, before all others.

        Returns:
            How many were dropped, since there is no room for them now.
        """
        with self._changed:
            self._taken -= len(taken)
            self._waiting.extendleft(reversed(taken))
            return self._trim()

    def wait(self, timeout_s: float) -> None:
        """Wait until a window waits, the buffer is closed, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)

    def close(self) -> None:
        """Take no further window; those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> int:
        """Drop all that waits; how many that were, with those that were taken."""
        with self._changed:
            left = len(self)
            self._waiting.clear()
            return left

    def _trim(self) -> int:
        dropped = 0
        while self._waiting and (len(self) > self._limits.windows or self._nbytes > self._limits.nbytes):
            self._nbytes -= self._waiting.popleft().nbytes
            dropped += 1
        return dropped
