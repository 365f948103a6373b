"""This module has a served version observed: it opens the graph that observes, and finds how many runs may be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from models.bundle import Bundle
from service.inference.devices import Device
from service.inference.engine import Engine
from service.inference.served_model import ServedModel
from service.normalization.budget import Budget
from service.normalization.judgement import Judge
from service.normalization.monitor import Monitor, WindowRules
from service.normalization.observed_run import ObservedRun
from service.normalization.overhead import Overhead
from service.normalization.overhead_at_load import measure_overhead
from service.normalization.seen import ClosedWindow

log = logging.getLogger(__name__)

Closed = Callable[[ServedModel, Judge, ClosedWindow], None]
"""Is told of every window that was closed, from any thread."""


@dataclass(frozen=True, slots=True)
class ObservingRules:
    """How versions are observed.

    Attributes:
        budget: How much longer all runs together may take, as a share.
        share: Of the runs that are observed, whatever that costs; None for what the budget allows.
        windows: When windows are closed.
        alarm_rate: Share of windows of unmoved data that are to alarm.
    """

    budget: float
    share: float | None
    windows: WindowRules
    alarm_rate: float


def open_monitor(
    served: ServedModel,
    bundle: Bundle,
    rules: ObservingRules,
    device: Device,
    *,
    closed: Closed,
    wake: Callable[[], None],
) -> Monitor | str:
    """Have a share of a version's runs observed from now on, by the monitor that is returned; or say why not.

    Args:
        served: The version.
        bundle: What it was loaded from.
        rules: How it is to be observed.
        device: Where the graph that observes runs: where the other does.
        closed: Told of its windows.
        wake: Called where something waits to be added up.

    Raises:
        EngineError: If the graph can't be loaded.
        BundleError: If the bundle is damaged.
    """
    if rules.share == 0 or (rules.share is None and rules.budget == 0):
        return "observing is off (observe_share, observe_budget)"
    columns, graph = bundle.columns(), bundle.observing_graph()
    if columns is None:
        return "it has no normalization layers"
    if graph is None:
        return "its bundle has no probe"
    observing = Engine(graph, device, threads=served.threads)
    judge = Judge(columns, bundle.calibration(), rules.alarm_rate)
    windows = replace(rules.windows, rows=judge.window_rows(rules.windows.rows))
    monitor = Monitor(judge, windows, closed=lambda window: closed(served, judge, window), wake=wake)
    sample = bundle.sample()
    rows = len(next(iter(sample.inputs.values())))
    # a graph whose rows do not vary takes as many as its sample has
    sizes = sorted({1, served.rules.batch_rows}) if bundle.manifest.rows_vary else [rows]
    measured = measure_overhead(served.engine, observing, columns, sample.inputs, list(sample.outputs), sizes=sizes)
    budget = Budget(rules.budget, Overhead(measured))
    monitor.share = budget.share if rules.share is None else rules.share
    served.divert(ObservedRun(served.engine, observing, monitor, budget if rules.share is None else None))
    log.info(
        "model %s version %s: %.3g %% of its runs are observed; these take %.0f %% longer, all together %.3g %%",
        *(served.name, served.version, 100 * monitor.share, 100 * measured.share),
        100 * monitor.share * measured.share,
    )
    return monitor
