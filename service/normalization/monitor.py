"""This module adds up what one served version's layers see: since the start, and in windows that are judged.

Runs leave what their probe told in passing; it is added up later, by whoever settles. A window is closed when it has
its number of rows, to the row; or after its time, as soon as it has enough rows to be judged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.observed_rows import ObservedRows
from models.stacked_moments import StackedMoments
from service.normalization.judgement import Judge
from service.normalization.pending import Pending, read_together
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.sight import Sight

PENDING_BYTES = 32 * 2**20

FEWEST_ROWS = 32
"""A window is not closed by time with fewer; the least that a calibration covers."""


@dataclass(frozen=True, slots=True)
class WindowRules:
    """When a window is closed: at so many rows, or so many seconds after its first row."""

    rows: int
    seconds: float


class Monitor:
    """What one served version's layers see; any thread may call.

    Args:
        judge: Of its windows.
        rules: When they are closed.
        closed: Told of every window that was.
        wake: Called where something waits to be added up, and nothing did.

    Attributes:
        judge: As given.
        rows_seen: Rows that ran since the probe was opened, observed or not.
        share: Of the runs, that are observed.
        stamp: Of the reset that it obeyed last; 0 for none.
    """

    def __init__(
        self,
        judge: Judge,
        rules: WindowRules,
        *,
        closed: Callable[[ClosedWindow], None],
        wake: Callable[[], None],
    ) -> None:
        self.judge = judge
        self.rows_seen = 0
        self.share = 0.0
        self.stamp = 0
        self._rules = rules
        self._closed = closed
        self._wake = wake
        self._pending = Pending(PENDING_BYTES)
        self._lock = threading.RLock()
        self._total = self._open = self._nothing
        self._last: ClosedWindow | None = None

    @property
    def _nothing(self) -> Sight:
        return Sight.nothing(len(self.judge.columns))

    def put(self, outputs: Sequence[NDArray[Any]], rows: int) -> None:
        """Take what the probe told of a run's first so many rows; quick."""
        if self._pending.put(outputs, rows):
            self._wake()

    def settle(self, now: float) -> None:
        """Add up what was told, and close the windows that are complete.

        Args:
            now: In seconds since 1970.
        """
        with self._lock:
            for rows, since, until in read_together(self._pending.take(), self.judge.columns):
                self._add(rows, since, until)
            opened = self._open.since
            if opened is not None and now - opened >= self._rules.seconds and self._open.rows >= FEWEST_ROWS:
                self._close()

    def seen(self) -> Seen:
        """What was seen since the start, or since it was reset."""
        with self._lock:
            return Seen(
                share=self.share,
                rows_seen=self.rows_seen,
                rows_dropped=self._pending.rows_dropped,
                total=self._total,
                window=self._last,
                open=self._open,
            )

    def reset(self) -> None:
        """Begin anew, as after a start; rows that wait to be added up are not counted."""
        with self._lock:
            self._pending = Pending(PENDING_BYTES)
            self.rows_seen = 0
            self._total = self._open = self._nothing
            self._last = None

    def flush(self) -> None:
        """Close the open window, however few rows it has; for when no more will come."""
        with self._lock:
            if self._open.rows:
                self._close()

    def _add(self, rows: ObservedRows, since: float, until: float) -> None:
        start = 0
        while start < len(rows) or (start == 0 and rows.not_finite):
            stop = start + self._rules.rows - self._open.rows
            part = rows.part(start, stop)
            seen = Sight(StackedMoments.of(part), part.not_finite, since, until)
            self._open, self._total = self._open.merge(seen), self._total.merge(seen)
            start += max(len(part), 1)
            if self._open.rows == self._rules.rows:
                self._close()

    def _close(self) -> None:
        self._last = ClosedWindow(self._open, self.judge.judge(self._open.moments))
        self._open = self._nothing
        self._closed(self._last)
