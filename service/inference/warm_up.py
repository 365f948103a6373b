"""This module runs a graph at the batch sizes that will occur, before it answers anyone, and keeps how long that took.

What a runtime does only once, it does here: plans of memory for a shape, and on a GPU the choice of an algorithm, which
takes seconds. There batches are padded to the sizes tried here, so that no request ever waits for such a choice.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
WORTHWHILE = 0.02
"""A larger batch is worth its longer run if a row in it takes this share less time."""
REPEATS = 5
"""Runs of one size, of which the fastest counts: what else the machine does only ever adds."""


class Graph(Protocol):
    """What is run: an engine."""

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> Sequence[NDArray[Any]]:
        """Run it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long runs take.

    Attributes:
        sizes: Rows of the runs that were tried, ascending; the first is 1 where rows can share a run.
        ms: How long each took, in milliseconds.
    """

    sizes: Sequence[int]
    ms: Sequence[float]

    def ms_of(self, rows: int) -> float:
        """How long a run of so many rows will take: between two sizes that were tried, or in proportion to the last."""
        above = bisect.bisect_left(self.sizes, rows)
        if above == len(self.sizes):
            return self.ms[-1] * rows / self.sizes[-1]
        if self.sizes[above] == rows or above == 0:
            return self.ms[above]
        low, high = self.sizes[above - 1], self.sizes[above]
        share = (rows - low) / (high - low)
        return self.ms[above - 1] + share * (self.ms[above] - self.ms[above - 1])

    @property
    def batch_rows(self) -> int:
        """How many rows should share a run at most: more would make them wait longer and gain next to nothing."""
        per_row = [ms / size for size, ms in zip(self.sizes, self.ms, strict=True)]
        best = 0
        for index, ms in enumerate(per_row):
            if ms < per_row[best] * (1 - WORTHWHILE):
                best = index
        return self.sizes[best]

    def rows_within(self, ms: float) -> int:
        """The most rows of a run that was tried and took no longer than so many milliseconds; at least 1."""
        return max([1, *(size for size, took in zip(self.sizes, self.ms, strict=True) if took <= ms)])

    def padded(self, rows: int) -> int:
        """The next size that was tried, or ``rows`` beyond all of them."""
        above = bisect.bisect_left(self.sizes, rows)
        return rows if above == len(self.sizes) else self.sizes[above]


def batch_sizes(max_rows: int) -> list[int]:
    """1, 2, 4 and so on, and ``max_rows`` itself."""
    return [1 << exponent for exponent in range((max_rows - 1).bit_length())] + [max_rows]


def warm_up(
    graph: Graph, sample: Arrays, outputs: Sequence[str], *, sizes: Sequence[int], budget_s: float | None
) -> Pace:
    """Run each size, the first one in any case.

    Args:
        graph: What to run.
        sample: Rows to run, repeated as often as needed.
        outputs: Names of all outputs.
        sizes: Ascending.
        budget_s: No size is tried that would end later than this, by what the one before took; None tries all.
    """
    deadline = None if budget_s is None else time.perf_counter() + budget_s
    tried: list[tuple[int, float]] = []
    for size in sizes:
        if deadline is not None and tried:
            expected_s = 2 * tried[-1][1] / 1000 * size / tried[-1][0]
            if time.perf_counter() + expected_s > deadline:
                break
        tried.append((size, min(_times_ms(graph, repeat_rows(sample, size), outputs, deadline))))
    return Pace(*zip(*tried, strict=True))


def repeat_rows(sample: Arrays, count: int) -> dict[str, NDArray[Any]]:
    """So many rows, the first after the last again."""
    return {name: array.take(range(count), axis=0, mode="wrap") for name, array in sample.items()}


def _times_ms(graph: Graph, inputs: Arrays, outputs: Sequence[str], deadline: float | None) -> Iterator[float]:
    """Times of runs after a first one, which does what is done once."""
    graph.run(inputs, outputs)
    for _ in range(REPEATS):
        started = time.perf_counter()
        graph.run(inputs, outputs)
        yield (time.perf_counter() - started) * 1000
        if deadline is not None and time.perf_counter() > deadline:
            return
