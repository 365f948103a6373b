"""This module learns what observing a run costs from the runs that are served.

What was measured when a version was loaded is of an idle machine, where a probe finds the caches and cores that under
load it has to share. Which runs are observed is drawn by chance, so both kinds meet the same traffic and the same load,
and an observed run is compared with what plain ones of as many rows take, of late, on the average.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_COUNTS = 32
"""So many observed runs what was measured at load counts for."""

REMEMBERED = 256
"""So many runs, of each kind, say how it is; what was before them fades."""

FEWEST = 4
"""So many plain runs of a size it takes to compare with."""

MOST_TIMES = 4
"""A run counts for no more than so many usual plain ones: now and then one waits for what is none of its doing."""


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
    """

    def __init__(self, measured: MeasuredOverhead) -> None:
        self._measured = measured
        self._plain: dict[int, _Mean] = {}
        self._expected = _Mean(FIRST_COUNTS)
        self._taken = _Mean(FIRST_COUNTS)

    @property
    def share(self) -> float:
        """Of a plain run's time; below 0 where chance has it so."""
        return self._taken.value / self._expected.value - 1 if self._expected.value else self._measured.share

    def ran(self, rows: int, seconds: float) -> None:
        """Count a run without the probe."""
        usual = self._plain.setdefault(rows, _Mean())
        usual.add(min(seconds, MOST_TIMES * usual.value) if usual.count >= FEWEST else seconds)

    def ran_observed(self, rows: int, seconds: float) -> None:
        """Count a run with it."""
        usual = self._plain.get(rows)
        if usual is None or usual.count < FEWEST:
            return
        if not self._expected.value:
            self._expected.value = usual.value
            self._taken.value = (1 + self._measured.share) * usual.value
        self._expected.add(usual.value)
        self._taken.add(min(seconds + rows * self._measured.adding_s, MOST_TIMES * usual.value))


class _Mean:
    """A mean of late: of all values while they are few, then one in which old ones fade."""

    __slots__ = ("count", "value")

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.value = 0.0

    def add(self, value: float) -> None:
        self.count = min(self.count + 1, REMEMBERED)
        self.value += (value - self.value) / self.count
