"""This module says how long to wait before trying again what failed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Twice as long after every failure, up to a bound, less a part by chance, so that many don't come back at once.

    Attributes:
        first_s: After the first failure.
        most_s: Never longer.
    """

    first_s: float = 0.25
    most_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, from 1: 50 to 100 % of the time above."""
        doubled = self.first_s * 2.0 ** min(failures - 1, 30)
        return min(doubled, self.most_s) * random.uniform(0.5, 1)  # noqa: S311  nothing is secret here
