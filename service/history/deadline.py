"""This module ends what a database has not answered in time.

Timeouts that the database itself keeps are no help where it hangs, or the network does. So a timer takes from the
waiting thread what it waits for: its connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Connection = Any
"""Of a database driver."""


class Deadline:
    """A time by which a block has to end; afterwards the connections that it uses are cut. To be entered once.

    Args:
        seconds: From the beginning of the block.
        cut: Makes whoever waits for a connection fail; called from another thread.
    """

    def __init__(self, seconds: float, cut: Callable[[Connection], None]) -> None:
        self.seconds = seconds
        self._cut = cut
        self._lock = threading.Lock()
        self._watched: list[Connection] = []
        self._expired = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()  # so that it can't cut what the number of a closed socket stands for next

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        return self._expired

    def watch(self, connection: Connection) -> None:
        """Say which connection the block uses now."""
        with self._lock:
            self._watched.append(connection)
            expired = self._expired
        if expired:
            self._cut(connection)

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            watched = list(self._watched)
        for connection in watched:
            self._cut(connection)
