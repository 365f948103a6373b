"""This module is the median of what was measured, and how far off it may be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

OUTSIDE = 0.025
"""How likely the true median is below the interval, at most; above it, as likely."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median of measurements, and the interval that the true one is in with at least 95 % confidence.

    The interval is that of order statistics, which asks nothing of the distribution (David & Nagaraja, "Order
    Statistics", 7.1); of fewer than six measurements it is all of them, and the confidence is less.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Median:
        """The median of at least one value."""
        ordered = sorted(values)
        left_out = _num_left_out(len(ordered))
        return cls(statistics.median(ordered), ordered[left_out], ordered[-1 - left_out])

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def _num_left_out(num_values: int) -> int:
    """How many values at each end lie outside: as many as are seldom all on one side of the true median."""
    count, chance = 0, 0.5**num_values
    while chance + (more := math.comb(num_values, count + 1) * 0.5**num_values) <= OUTSIDE:
        count, chance = count + 1, chance + more
    return count
