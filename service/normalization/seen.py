"""This module is what was seen of one version, by one process or by several together."""

from __future__ import annotations

from dataclasses import dataclass

from service.normalization.judgement import Judgement
from service.normalization.sight import Sight


@dataclass(frozen=True, slots=True, eq=False)
class ClosedWindow:
    """A window that is complete; without a judgement where it could not be judged."""

    sight: Sight
    judgement: Judgement | None


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen of one version, since the start or since it was reset.

    Attributes:
        share: Of the runs, that are observed.
        rows_seen: Rows that ran.
        rows_dropped: Rows that were observed and are not counted, since too much waited to be added up.
        total: Everything that was observed.
        window: The last window that is complete; before there is one, None.
        open: What the window has so far that is not complete.
    """

    share: float
    rows_seen: int
    rows_dropped: int
    total: Sight
    window: ClosedWindow | None
    open: Sight

    def merge(self, other: Seen) -> Seen:
        """What two processes saw; of their windows the one that was closed last."""
        windows = [window for window in (self.window, other.window) if window is not None]
        return Seen(
            share=self._share_with(other),
            rows_seen=self.rows_seen + other.rows_seen,
            rows_dropped=self.rows_dropped + other.rows_dropped,
            total=self.total.merge(other.total),
            window=max(windows, key=lambda window: window.sight.until or 0.0, default=None),
            open=self.open.merge(other.open),
        )

    def _share_with(self, other: Seen) -> float:
        """Of the runs of both; each process learns its own."""
        rows = self.rows_seen + other.rows_seen
        if not rows:
            return max(self.share, other.share)
        return (self.share * self.rows_seen + other.share * other.rows_seen) / rows

    @property
    def shown(self) -> ClosedWindow:
        """The last window that is complete; before there is one, what there is of it."""
        return self.window or ClosedWindow(self.open, None)
