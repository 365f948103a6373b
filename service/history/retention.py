"""This module deletes what is old, a little at a time, so that nobody waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

from service.history.period import Resolution
from service.history.tables import periods, windows


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, by when a window was closed and when a period began.

    Attributes:
        windows: Single windows.
        minutes: What was seen in each minute.
        hours: In each hour.
        days: In each day.

    Raises:
        ValueError: If one is not positive, or a coarser one is kept for less long than a finer one.
    """

    windows: timedelta = timedelta(days=1)
    minutes: timedelta = timedelta(days=7)
    hours: timedelta = timedelta(days=90)
    days: timedelta = timedelta(days=730)

    def __post_init__(self) -> None:
        kept = (self.windows, self.minutes, self.hours, self.days)
        if kept[0] <= timedelta(0) or list(kept) != sorted(kept):
            told = ", ".join(str(time) for time in kept)
            raise ValueError(f"retention: expected positive times, the finer the shorter, got {told}")

    def of(self, resolution: Resolution) -> timedelta:
        """How long what has a resolution is kept."""
        return {"window": self.windows, "minute": self.minutes, "hour": self.hours, "day": self.days}[resolution]


def delete_expired(
    connection: Connection, retention: Retention, resolution: Resolution, *, now: datetime, most: int
) -> int:
    """Delete the oldest of what is not kept any more.

    Args:
        connection: Of a transaction that may write.
        retention: What is kept.
        resolution: Which windows or periods.
        now: The time, with its zone.
        most: How many at once.

    Returns:
        How many were deleted; where that is ``most`` there may be more. What another process has locked is left.
    """
    cutoff = now - retention.of(resolution)
    if resolution == "window":
        return _delete(connection, windows, windows.c.until, windows.c.until < cutoff, most)
    old = (periods.c.resolution == resolution) & (periods.c.since < cutoff)
    return _delete(connection, periods, periods.c.since, old, most)


def _delete(
    connection: Connection, table: Table, age: ColumnElement[datetime], old: ColumnElement[bool], most: int
) -> int:
    key = tuple(table.primary_key)
    oldest = select(*key).where(old).order_by(age).limit(most).with_for_update(skip_locked=True)
    return connection.execute(delete(table).where(tuple_(*key).in_(oldest))).rowcount
