"""This module finds how many of a model's runs may be observed for what observing is allowed to cost."""

from __future__ import annotations

from dataclasses import dataclass

from service.normalization.overhead import Overhead

MOST = 0.95
"""Of the runs, as long as it follows from what they cost: some are left to compare with."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What observing may cost, and what it does.

    Attributes:
        allowed: How much longer all runs together may take, as a share.
        overhead: How much longer an observed run takes.
    """

    allowed: float
    overhead: Overhead

    @property
    def share(self) -> float:
        """Of the runs, that may be observed."""
        return min(MOST, share_for(self.allowed, self.overhead.share))


def share_for(budget: float, overhead: float) -> float:
    """The share of runs to observe so that all runs together take no more than a budget longer."""
    return 1.0 if overhead <= budget else budget / overhead
