"""This module is the threads on which graphs run: they do what they are given, in its order.

A pool of the standard library makes a future, a lock and a condition for every run; after a graph has had the caches
for some milliseconds, those take longer than the way to a thread and back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

Do = Callable[[], None]


class RunThreads:
    """A few threads, started when there is something to do; they have to be closed for the process to end.

    Args:
        count: How many, and so how much is done at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._given: SimpleQueue[tuple[Do, Do] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, do: Do, stopped: Do) -> None:
        """Have something done, after all that was given before.

        Args:
            do: Must not raise.
            stopped: Called in its place where the threads were closed before it began.
        """
        self._given.put((do, stopped))
        if not self._threads:
            self._start()
        if self._closed:
            self._stop_what_is_left()

    def close(self) -> None:
        """Do nothing more; what is being done goes on, and its thread ends after it."""
        if self._closed:
            return
        self._closed = True
        self._stop_what_is_left()
        for _ in self._threads:
            self._given.put(None)

    def _start(self) -> None:
        with self._lock:
            if not self._threads and not self._closed:
                names = [f"inference-{number}" for number in range(self._count)]
                self._threads = [threading.Thread(target=self._work, name=name) for name in names]
                for thread in self._threads:
                    thread.start()

    def _work(self) -> None:
        while given := self._given.get():
            do, stopped = given
            (stopped if self._closed else do)()

    def _stop_what_is_left(self) -> None:
        while True:
            try:
                given = self._given.get_nowait()
            except Empty:
                return
            if given is not None:
                given[1]()
            else:  # it was for a thread, which must not wait for ever
                self._given.put(None)
                return
