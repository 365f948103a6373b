"""This module runs a share of a model's batches through the graph that observes too."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from models.observed_rows import PROBE_OUTPUTS
from service.errors import EngineError
from service.inference.engine import Arrays, Engine
from service.normalization.budget import Budget
from service.normalization.monitor import Monitor

log = logging.getLogger(__name__)


class ObservedRun:
    """What a batcher runs in the place of the plain graph, one run at a time.

    Which runs are observed is drawn by chance, so that no rhythm of the traffic hides from it.

    Args:
        plain: The graph.
        observing: The same with its probe.
        monitor: Takes what the probe tells; its share says how many of the runs are observed.
        budget: Learns from the runs what observing costs, and sets that share; None where it is set by hand.
    """

    def __init__(self, plain: Engine, observing: Engine, monitor: Monitor, budget: Budget | None = None) -> None:
        self._plain = plain
        self._observing = observing
        self._monitor = monitor
        self._budget = budget

    def __call__(self, inputs: Arrays, outputs: Sequence[str], rows: int) -> list[NDArray[Any]]:
        """Run rows; what is beyond so many of them is padding."""
        monitor, budget = self._monitor, self._budget
        monitor.rows_seen += rows
        started = time.perf_counter()
        if random.random() >= monitor.share:  # noqa: S311  a sample, no secret
            answers = self._plain.run(inputs, outputs)
            if budget is not None:
                budget.overhead.ran(_padded(inputs), time.perf_counter() - started)
            return answers
        try:
            found = self._observing.run(inputs, [*outputs, *PROBE_OUTPUTS])
        except EngineError as error:
            answers = self._plain.run(inputs, outputs)  # raises if it is the rows that are at fault
            monitor.share = 0.0
            log.error("no row is observed any more, as the graph that observes can't run what the graph can: %s", error)
            return answers
        monitor.put(found[-len(PROBE_OUTPUTS) :], rows)
        if budget is not None:
            budget.overhead.ran_observed(_padded(inputs), time.perf_counter() - started, added=rows)
            monitor.share = budget.share
        return found[: -len(PROBE_OUTPUTS)]


def _padded(inputs: Arrays) -> int:
    """Rows of a run, padding included: what it takes depends on them."""
    return len(next(iter(inputs.values())))
