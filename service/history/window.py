"""This module says what a window is: what one process saw of one model version over some rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.moments import Moments


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What one process saw of one model version over some rows.

    Attributes:
        id: Made by whoever closed the window; storing it twice changes nothing.
        model: Name of the model, at most 128 characters.
        version: Its version, from 1.
        since: When its first row came.
        until: When it was closed.
        rows: Rows behind the moments.
        rows_not_finite: Rows that were seen and left out, since they were not finite somewhere.
        layers: Moments of the input of each normalization layer, in the manifest's order; NaN in channels that can't
            be observed. Their arrays must not change any more.

    Raises:
        ValueError: If a time has no time zone.
    """

    id: UUID
    model: str
    version: int
    since: datetime
    until: datetime
    rows: int
    rows_not_finite: int
    layers: tuple[Moments, ...]

    def __post_init__(self) -> None:
        for name, time in (("since", self.since), ("until", self.until)):
            if time.tzinfo is None:
                raise ValueError(f"{name} of a window: expected a time with its zone, got {time.isoformat()}")

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return 512 + sum(128 + layer.mean.nbytes + layer.m2.nbytes for layer in self.layers)
