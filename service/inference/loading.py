"""This module opens a bundle to be served: on its device, with the threads that pay, tested, warm, its pace known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.bundle import Bundle
from models.kept_statistics import KeptStatistics
from service.inference.batch_rules import BatchRules
from service.inference.batcher import Batcher
from service.inference.devices import Device
from service.inference.engine import Engine
from service.inference.limits import ServingLimits
from service.inference.observer import VersionObserver
from service.inference.run_threads import RunThreads
from service.inference.self_test import rows_are_independent, self_test
from service.inference.served_model import ServedModel
from service.inference.warm_up import Pace, batch_sizes, warm_up

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loader:
    """Opens bundles; takes as long as it takes.

    Attributes:
        device: Where graphs run.
        threads: Threads of one run on the CPU.
        limits: What each model may take.
        run_threads: Where runs go that are too long for the event loop.
        observer: Makes, by model and version, who is told.
    """

    device: Device
    threads: int
    limits: ServingLimits
    run_threads: RunThreads
    observer: Callable[[str, str], VersionObserver]

    def load(self, bundle: Bundle) -> ServedModel:
        """Open a bundle and see that it computes what it should.

        Raises:
            BundleError: If its arrays are damaged.
            EngineError: If its graph can't be loaded or fails its self-test.
        """
        manifest, statistics, sample = bundle.manifest, KeptStatistics.of(bundle), bundle.sample()
        engine = self._open(bundle, sample.inputs)
        self_test(engine, sample)
        outputs = list(sample.outputs)
        shares = manifest.rows_vary and rows_are_independent(engine, sample)
        if not shares:
            log.info("model %s version %d: its rows do not share runs", manifest.name, manifest.version)
        on_gpu = engine.device != "cpu"
        sizes = batch_sizes(self.limits.max_batch_rows) if shares else [len(next(iter(sample.inputs.values())))]
        pace = warm_up(engine, sample.inputs, outputs, sizes=sizes, budget_s=None if on_gpu else self.limits.warm_up_s)
        observer = self.observer(manifest.name, str(manifest.version))
        rules = self._rules(pace, shares=shares, pads=on_gpu and shares)
        batcher = Batcher(engine.run_rows, rules, self.run_threads, observer)
        return ServedModel(manifest, statistics, engine=engine, batcher=batcher, observer=observer)

    def _open(self, bundle: Bundle, rows: Mapping[str, NDArray[Any]]) -> Engine:
        """On the CPU first with one thread: a graph so small that it stays on the event loop is fastest with that."""
        if self.device.kind != "cpu" or self.threads == 1:
            return Engine(bundle.model_path, self.device, threads=self.threads)
        alone = Engine(bundle.model_path, self.device, threads=1)
        outputs = [record.name for record in bundle.manifest.outputs]
        fewest = 1 if bundle.manifest.rows_vary else len(next(iter(rows.values())))
        pace = warm_up(alone, rows, outputs, sizes=[fewest], budget_s=None)
        if pace.ms[0] < self.limits.inline_below_ms:
            return alone
        return Engine(bundle.model_path, self.device, threads=self.threads)

    def _rules(self, pace: Pace, *, shares: bool, pads: bool) -> BatchRules:
        limits = self.limits
        if not shares:
            batch_rows = 1
        elif pads:
            batch_rows = limits.max_batch_rows
        elif pace.ms[0] < limits.inline_below_ms:
            # one row alone stays on the loop; some together are worth a thread, beside which the loop goes on
            batch_rows = max(pace.batch_rows, pace.rows_within(WORTH_A_THREAD_MS))
        else:
            batch_rows = pace.batch_rows
        return BatchRules(
            max_rows=limits.max_batch_rows if shares else UNLIMITED,
            batch_rows=batch_rows,
            delay_s=limits.max_batch_delay_ms / 1000 if shares else 0.0,
            max_waiting=limits.max_queue_requests,
            inline_below_ms=limits.inline_below_ms,
            ms_of=pace.ms_of,
            padded=pace.padded if pads else int,
        )


WORTH_A_THREAD_MS = 2.0
"""A run of this length makes the way to a thread and back a small part of it; a longer one would keep more requests in
it than the loop needs to have something to do meanwhile."""

UNLIMITED = 2**62
"""Rows of a request to a graph whose rows do not share runs: all of them make one run."""
