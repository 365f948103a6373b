"""This module finds how many of a model's runs may be observed for what observing is allowed to cost."""

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

REPEATS = 7
"""Runs of each graph in turn, of which the fastest count: what else the machine does only ever adds."""

Rows = Mapping[str, NDArray[Any]]


def observed_overhead(
    plain: Engine, observing: Engine, columns: Columns, sample: Rows, outputs: Sequence[str], *, sizes: Sequence[int]
) -> float:
    """What observing a run costs more, adding up included, as a share of a plain run; the most of several sizes.

    Args:
        plain: The graph.
        observing: The same with its probe.
        columns: Of its layers.
        sample: Rows, repeated as often as needed.
        outputs: Names of all outputs.
        sizes: Rows of the runs that are tried.
    """
    wanted = [*outputs, *PROBE_OUTPUTS]
    most = 0.0
    for size in sizes:
        rows = repeat_rows(sample, size)
        plain_s, observed_s = [], []
        for _ in range(REPEATS + 1):  # the first one does what is done once
            started = time.perf_counter()
            plain.run(rows, outputs)
            ran = time.perf_counter()
            means, variances, values = observing.run(rows, wanted)[-len(PROBE_OUTPUTS) :]
            with np.errstate(all="ignore"):
                StackedMoments.of(columns.read(means, variances, values))
            plain_s.append(ran - started)
            observed_s.append(time.perf_counter() - ran)
        most = max(most, min(observed_s[1:]) / min(plain_s[1:]) - 1)
    return most


def share_for(budget: float, overhead: float) -> float:
    """The share of runs to observe so that all runs together take no more than a budget longer."""
    return 1.0 if overhead <= budget else budget / overhead
