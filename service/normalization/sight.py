"""This module is what a model's layers have seen over some rows."""

from __future__ import annotations

from dataclasses import dataclass

from models.stacked_moments import StackedMoments


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What all layers have seen over some rows.

    Attributes:
        moments: Of every channel, in training deviations.
        not_finite: Rows that were seen and left out.
        since: When the first row came, in seconds since 1970; None where there is none.
        until: When the last one did.
    """

    moments: StackedMoments
    not_finite: int = 0
    since: float | None = None
    until: float | None = None

    @classmethod
    def nothing(cls, columns: int) -> Sight:
        """No row at all."""
        return cls(StackedMoments.empty(columns))

    @property
    def rows(self) -> int:
        """Rows that count."""
        return self.moments.rows

    def merge(self, other: Sight) -> Sight:
        """What was seen by both."""
        return Sight(
            self.moments.merge(other.moments),
            self.not_finite + other.not_finite,
            min((time for time in (self.since, other.since) if time is not None), default=None),
            max((time for time in (self.until, other.until) if time is not None), default=None),
        )
