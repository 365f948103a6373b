"""This module learns what observing a run costs from the runs that are served.

What was measured when a version was loaded is of graphs that nobody asked yet; under load a probe has to share caches
and cores. Which runs are observed is drawn by chance, so both kinds meet the same traffic and the same load. An
observed run is compared with what plain ones of as many rows take, and the median of many says what observing costs:
now and then a run waits for what is none of its doing, and may take a hundred times as long. The plain run behind an
observed one finds the caches full of the other graph; what it takes longer for that is counted with it. Less than was
measured at load it never is: that was of the fastest of several runs, which no load makes faster, and where little is
learned yet chance would have it so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

REMEMBERED = 256
"""So many observed runs say how it is; what was before them is forgotten."""

PLAIN_REMEMBERED = 33
"""So many plain runs of each size say what is usual."""

FEWEST = 5
"""So many plain runs of a size it takes to compare with."""

MEASURED_COUNTS = 16
"""So many observed runs what was measured at load counts for, for as long as there are no more than ``REMEMBERED``."""

LEARN_EVERY = 16
"""Observed runs: sorting what is remembered takes as long as a small network."""


@dataclass(frozen=True, slots=True)
class MeasuredOverhead:
    """What observing was measured to cost.

    Attributes:
        share: What an observed run takes longer, adding up included, as a share of a plain one.
        adding_s: The seconds that adding up a row takes, which is done later and elsewhere.
    """

    share: float
    adding_s: float


class Overhead:
    """What an observed run takes longer, as a share of a plain one; belongs to whoever runs them, one at a time.

    Args:
        measured: At load; what there is to go by until runs were served.

    Attributes:
        share: Of a plain run's time; an estimate, and no less than what was measured.
    """

    def __init__(self, measured: MeasuredOverhead) -> None:
        self.share = measured.share
        self._measured = measured
        self._plain: dict[int, deque[float]] = {}
        self._observed: deque[_Comparison] = deque(maxlen=REMEMBERED)
        self._behind: deque[float] = deque(maxlen=REMEMBERED)
        self._last_usual: float | None = None
        self._count = 0

    def ran(self, size: int, seconds: float) -> None:
        """Count a run of so many rows without the probe."""
        plain = self._plain.setdefault(size, deque(maxlen=PLAIN_REMEMBERED))
        if self._last_usual is not None and len(plain) >= FEWEST:
            self._behind.append((seconds - median(plain)) / self._last_usual)
        self._last_usual = None
        plain.append(seconds)

    def ran_observed(self, size: int, seconds: float, *, added: int) -> None:
        """Count a run of so many rows with it.

        Args:
            size: Rows of the run, padding included.
            seconds: That it took.
            added: Rows of it that are added up.
        """
        plain = self._plain.get(size, ())
        if len(plain) < FEWEST:
            return
        self._last_usual = usual = median(plain)
        self._observed.append(_Comparison((seconds + added * self._measured.adding_s) / usual - 1, usual))
        self._count += 1
        if self._count % LEARN_EVERY == 0:
            found = self._median() + (median(self._behind) if self._behind else 0.0)
            self.share = max(self._measured.share, found)

    def _median(self) -> float:
        """What is in the middle of what observed runs took longer, each weighted by what it takes anyway."""
        left = max(0, min(MEASURED_COUNTS, REMEMBERED - len(self._observed)))
        weight = left * sum(one.usual for one in self._observed) / len(self._observed)
        known = sorted([*self._observed, _Comparison(self._measured.share, weight)], key=lambda one: one.longer)
        sums = list(accumulate(one.usual for one in known))
        return next(one.longer for one, upto in zip(known, sums, strict=True) if upto >= sums[-1] / 2)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How much longer an observed run took, as a share, and the seconds that a plain one usually takes."""

    longer: float
    usual: float
