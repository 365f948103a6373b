"""This module keeps a sample of the rows that a version answered of late, so that it can be recalibrated on them.

While fewer rows have come than the horizon, every one of them is in the sample with the same probability. From then on
a row that comes takes a random place with probability ``capacity / horizon``, so that those of before fade: of rows
that came ``k`` rows ago the share ``exp(-k / horizon)`` is left. The mean age is a horizon. Most rows are not even
copied.

Source: Vitter (1985), "Random sampling with a reservoir", algorithm R; Aggarwal (2006), "On biased reservoir sampling
in the presence of stream evolution", for the fading.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

HORIZON = 16
"""In capacities: a sample of 1024 rows is one of the last 16 thousand or so, and of no more than that."""

KEPT_KINDS = "biuf"
"""Kinds of numpy's datatypes that are kept: numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservoirLimits:
    """How much a reservoir holds.

    Attributes:
        rows: Most rows; 0 for no reservoir.
        bytes: Most bytes, of all inputs together.
    """

    rows: int
    bytes: int


class Reservoir:
    """A sample of rows.

    Rows are of one shape and datatype, those of the first that comes; others are not kept, nor are rows with NaN or
    infinity, nor strings. Memory is taken when the first row comes, and used as it fills. Several threads may use one.

    Args:
        limits: How much it holds.
        seed: Of its choices; at random if none is given.
    """

    def __init__(self, limits: ReservoirLimits, *, seed: int | None = None) -> None:
        self._limits = limits
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._kept: dict[str, NDArray[Any]] = {}
        self._form: object = None
        self._seen = 0
        self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def keep(self, inputs: Arrays) -> None:
        """Take rows into the sample, or not, as chance has it.

        Args:
            inputs: Every input of the model, the same number of rows in each; what is kept of them is copied.
        """
        form = {name: (array.dtype, array.shape[1:]) for name, array in inputs.items()}
        with self._lock:
            if self._form is None:
                self._begin(inputs, form)
            if form == self._form and self._capacity:
                self._sample(inputs, len(next(iter(inputs.values()))))

    def rows(self) -> dict[str, NDArray[Any]]:
        """A copy of the sample, by input; in no order, and empty where nothing was kept."""
        with self._lock:
            return {name: array[: self._filled].copy() for name, array in self._kept.items()}

    @property
    def _capacity(self) -> int:
        return len(next(iter(self._kept.values()))) if self._kept else 0

    def _begin(self, inputs: Arrays, form: object) -> None:
        """Make room for rows like these, unless they are none to keep."""
        row_bytes = sum(array[:1].nbytes for array in inputs.values())
        if not row_bytes or any(array.dtype.kind not in KEPT_KINDS for array in inputs.values()):
            return
        capacity = min(self._limits.rows, self._limits.bytes // row_bytes)
        self._form = form
        self._kept = {name: np.empty((capacity, *array.shape[1:]), array.dtype) for name, array in inputs.items()}

    def _sample(self, inputs: Arrays, rows: int) -> None:
        capacity = self._capacity
        seen = np.minimum(self._seen + np.arange(1, rows + 1), HORIZON * capacity)
        self._seen += rows
        (chosen,) = np.nonzero(self._random.random(rows) * seen < capacity)
        if not chosen.size:
            return
        chosen = chosen[_finite(inputs, chosen)]
        free = min(len(chosen), capacity - self._filled)
        places = np.arange(self._filled, self._filled + len(chosen))
        places[free:] = self._random.integers(capacity, size=len(chosen) - free)
        self._filled += free
        for name, array in inputs.items():
            self._kept[name][places] = array[chosen]  # of several rows in one place the last stays


def _finite(inputs: Arrays, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of the chosen rows have neither NaN nor infinity."""
    finite = np.ones(len(chosen), bool)
    for array in inputs.values():
        if array.dtype.kind == "f":
            finite &= np.isfinite(array[chosen]).reshape(len(chosen), -1).all(axis=1)
    return finite
