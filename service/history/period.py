"""This module says what periods there are: minutes, hours and days of UTC, and the windows that fell into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Literal

from models.moments import Moments
from service.history.window import Window

RolledUp = Literal["minute", "hour", "day"]
Resolution = Literal["window", "minute", "hour", "day"]

LENGTH: Mapping[RolledUp, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
"""What windows are rolled up into, finest first, and how long that is."""

_ZERO: Mapping[RolledUp, Mapping[str, int]] = {
    "minute": {"second": 0, "microsecond": 0},
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
}


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """What was seen of one model version in one period: one window, or all that were closed in a minute, hour or day.

    Attributes:
        version: Of the model.
        since: When the period began.
        until: When it ends; it may not be over yet.
        first_row_at: When the first window in it began.
        last_row_at: When the last window in it was closed.
        rows: Rows behind the moments.
        rows_not_finite: Rows that were seen and left out.
        windows: How many windows are in it.
        layers: Moments of the input of each normalization layer, in the manifest's order.
    """

    version: int
    since: datetime
    until: datetime
    first_row_at: datetime
    last_row_at: datetime
    rows: int
    rows_not_finite: int
    windows: int
    layers: tuple[Moments, ...]

    @classmethod
    def of(cls, window: Window, resolution: RolledUp) -> Period:
        """The period that a window falls into, with nothing else in it."""
        since = start_of(window.until, resolution)
        return cls(
            version=window.version,
            since=since,
            until=since + LENGTH[resolution],
            first_row_at=window.since,
            last_row_at=window.until,
            rows=window.rows,
            rows_not_finite=window.rows_not_finite,
            windows=1,
            layers=window.layers,
        )

    def merge(self, other: Period) -> Period:
        """The same period with what is in both.

        Raises:
            ValueError: If the two have other layers.
        """
        return Period(
            version=self.version,
            since=self.since,
            until=self.until,
            first_row_at=min(self.first_row_at, other.first_row_at),
            last_row_at=max(self.last_row_at, other.last_row_at),
            rows=self.rows + other.rows,
            rows_not_finite=self.rows_not_finite + other.rows_not_finite,
            windows=self.windows + other.windows,
            layers=merge_layers(self.layers, other.layers),
        )


def start_of(time: datetime, resolution: RolledUp) -> datetime:
    """When the minute, hour or day of UTC began in which a time lies."""
    utc = time.astimezone(UTC)
    return utc.replace(**_ZERO[resolution])  # type: ignore[arg-type]  # mypy takes the keys for every argument


def merge_layers(ours: Sequence[Moments], theirs: Sequence[Moments]) -> tuple[Moments, ...]:
    """The moments of both, layer by layer.

    Raises:
        ValueError: If there are not as many layers, or one has not as many channels.
    """
    channels = [[layer.channels for layer in layers] for layers in (ours, theirs)]
    for number, (our, their) in enumerate(zip_longest(*channels)):
        if our != their:
            raise ValueError(f"layer {number} to merge: expected {_shown(our)}, got {_shown(their)}")
    return tuple(our.merge(their) for our, their in zip(ours, theirs, strict=True))


def _shown(channels: int | None) -> str:
    return "none" if channels is None else f"{channels} channels"
