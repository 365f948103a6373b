"""This module measures what observing a run costs, before runs were served."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.observed_rows import PROBE_OUTPUTS, Columns
from models.stacked_moments import StackedMoments
from service.inference.engine import Engine
from service.inference.warm_up import repeat_rows
from service.normalization.overhead import MeasuredOverhead

REPEATS = 8
"""Runs of each graph in turn, of which the fastest count: what else the machine does only ever adds."""

GATHERED_ROWS = 32
"""So many rows are added up at once, about: those of a quarter of a second at a small share of the traffic."""

Rows = Mapping[str, NDArray[Any]]


def measure_overhead(
    plain: Engine, observing: Engine, columns: Columns, sample: Rows, outputs: Sequence[str], *, sizes: Sequence[int]
) -> MeasuredOverhead:
    """What observing a run costs, of the fastest of several runs; the most of several sizes.

    Args:
        plain: The graph.
        observing: The same with its probe.
        columns: Of its layers and inputs.
        sample: Rows, repeated as often as needed.
        outputs: Names of all outputs.
        sizes: Rows of the runs that are tried.
    """
    wanted = [*outputs, *PROBE_OUTPUTS]
    told = observing.run(repeat_rows(sample, sizes[0]), wanted)[-len(PROBE_OUTPUTS) :]
    adding_s = _adding_up_s(columns, told)
    most = 0.0
    for size in sizes:
        rows = repeat_rows(sample, size)
        times = [(_seconds(plain, rows, outputs), _seconds(observing, rows, wanted)) for _ in range(REPEATS)]
        plain_s, observed_s = (min(taken) for taken in zip(*times[1:], strict=True))  # the first does what is done once
        most = max(most, (observed_s + size * adding_s) / plain_s - 1)
    return MeasuredOverhead(most, adding_s)


def _seconds(engine: Engine, rows: Rows, outputs: Sequence[str]) -> float:
    started = time.perf_counter()
    engine.run(rows, outputs)
    return time.perf_counter() - started


def _adding_up_s(columns: Columns, told: Sequence[NDArray[Any]]) -> float:
    """What it takes to add a row up, among as many as usually are."""
    means, variances = (np.repeat(figures[:1], GATHERED_ROWS, axis=0) for figures in told[:2])
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        StackedMoments.of(columns.read(means, variances, told[2]))
        times.append(time.perf_counter() - started)
    return min(times) / GATHERED_ROWS
