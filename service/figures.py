"""This module counts what one version of a model does; the figures of several processes add up.

It is on the path of every request, where the counters of a metrics library would cost as much as decoding does.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.inference.job import Outcome, RunTimes

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
ANSWERED = 200


@dataclass(slots=True)
class Histogram:
    """How often values fell between bounds.

    Attributes:
        bounds: Upper ends, ascending; the last interval has none.
        counts: Values in each interval, one more than bounds.
        total: Sum of all values.
    """

    bounds: Sequence[float]
    counts: list[int]
    total: float = 0.0

    @classmethod
    def of(cls, bounds: Sequence[float]) -> Histogram:
        """One that has seen nothing."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: Histogram) -> None:
        """Count what another one of the same bounds has."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)


def _seconds() -> Histogram:
    return Histogram.of(SECONDS)


def _rows() -> Histogram:
    return Histogram.of(ROWS)


@dataclass(slots=True)
class VersionFigures:
    """What one version did; it observes the version. Times are in seconds.

    Attributes:
        requests: By HTTP status.
        rows: Rows of requests that were answered.
        failed_seconds: Time spent on requests that were not.
        request_seconds: From the head of a request to the last byte of its answer, answered requests only.
        queue_seconds: How long they waited for their first run.
        compute_seconds: How long their runs took.
        input_seconds: Of all requests' runs, joining inputs.
        infer_seconds: Of all requests' runs, running the graph.
        output_seconds: Of all requests' runs, splitting outputs.
        batch_rows: Rows of every run.
        waiting: Requests that wait behind a run now.
        last_run: When a run ended last, in seconds since 1970; 0 for never.
    """

    requests: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    failed_seconds: float = 0.0
    request_seconds: Histogram = field(default_factory=_seconds)
    queue_seconds: Histogram = field(default_factory=_seconds)
    compute_seconds: Histogram = field(default_factory=_seconds)
    input_seconds: float = 0.0
    infer_seconds: float = 0.0
    output_seconds: float = 0.0
    batch_rows: Histogram = field(default_factory=_rows)
    waiting: int = 0
    last_run: float = 0.0

    def answered(self, *, rows: int, seconds: float, outcome: Outcome) -> None:
        """Count a request that was answered."""
        self.requests[ANSWERED] = self.requests.get(ANSWERED, 0) + 1
        self.rows += rows
        self.request_seconds.observe(seconds)
        self.queue_seconds.observe(outcome.queue_s)
        self.compute_seconds.observe(outcome.compute_s)

    def refused(self, *, status: int, seconds: float) -> None:
        """Count a request that was not."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.failed_seconds += seconds

    def ran(self, times: RunTimes) -> None:
        """Count a run."""
        self.batch_rows.observe(times.rows)
        self.input_seconds += times.input_s * times.requests
        self.infer_seconds += times.infer_s * times.requests
        self.output_seconds += times.output_s * times.requests
        self.last_run = time.time()

    def waits(self, requests: int) -> None:
        """Keep how many requests wait."""
        self.waiting = requests

    def add(self, other: VersionFigures) -> None:
        """Count what another process has."""
        for status, count in other.requests.items():
            self.requests[status] = self.requests.get(status, 0) + count
        self.rows += other.rows
        self.failed_seconds += other.failed_seconds
        self.request_seconds.add(other.request_seconds)
        self.queue_seconds.add(other.queue_seconds)
        self.compute_seconds.add(other.compute_seconds)
        self.input_seconds += other.input_seconds
        self.infer_seconds += other.infer_seconds
        self.output_seconds += other.output_seconds
        self.batch_rows.add(other.batch_rows)
        self.waiting += other.waiting
        self.last_run = max(self.last_run, other.last_run)
