"""This module holds what probes told until there is time to add it up: bounded, and never in a request's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.observed_rows import Columns, ObservedRows


class Told(NamedTuple):
    """What a probe told of one run: its outputs, and when, in seconds since 1970."""

    means: NDArray[np.float32]
    variances: NDArray[np.float32]
    values: NDArray[np.int64]
    at: float


class Pending:
    """What was told and not yet taken.

    Args:
        most_bytes: What would be more is dropped.

    Attributes:
        rows_dropped: Rows that there was no room for.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._told: list[Told] = []
        self._bytes = 0
        self.rows_dropped = 0

    def put(self, outputs: Sequence[NDArray[Any]], rows: int) -> bool:
        """Keep what was told of the first so many rows; says whether nothing waited before."""
        means, variances, values = outputs
        told = Told(means[:rows], variances[:rows], values, time.time())
        size = means.nbytes + variances.nbytes
        with self._lock:
            if self._bytes + size > self._most_bytes:
                self.rows_dropped += rows
                return False
            self._told.append(told)
            self._bytes += size
            return len(self._told) == 1

    def take(self) -> list[Told]:
        """Everything that waits, in its order."""
        with self._lock:
            told, self._told, self._bytes = self._told, [], 0
        return told


def read_together(told: Sequence[Told], columns: Columns) -> list[tuple[ObservedRows, float, float]]:
    """The rows of runs that follow one another, with when the first and the last of them came.

    Runs are put together where each row's figures are over equally many values: where their rows have one shape.
    """
    groups = [list(group) for _, group in groupby(told, key=lambda one: one.values.tobytes())]
    return [
        (
            columns.read(
                np.concatenate([one.means for one in group]),
                np.concatenate([one.variances for one in group]),
                group[0].values,
            ),
            group[0].at,
            group[-1].at,
        )
        for group in groups
    ]
