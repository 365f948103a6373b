"""This module watches versions for tests, with whatever is not being tested out of the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.draft import BundleDraft
from models.observed_rows import PROBE_OUTPUTS
from models.stacked_moments import StackedMoments
from models.store import Store
from service.inference.devices import CPU, choose_device
from service.inference.engine import Engine
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.normalization.judgement import Judge
from service.normalization.monitor import WindowRules
from service.normalization.opening import Closed, ObservingRules
from service.normalization.seen import ClosedWindow
from service.normalization.sight import Sight
from service.normalization.watcher import Watcher
from service.protocol.messages import InferenceRequest, Tensor
from tests.service.inference.registries import answer, loader_of

DEADLINE_S = 60
"""How long anything may take before a test gives up on it."""

EVERY_ROW = ObservingRules(budget=0.02, share=1.0, windows=WindowRules(rows=64, seconds=300.0), alarm_rate=0.001)
DEVICE = choose_device("cpu", [CPU])


class Recorded:
    """Keeps the windows that were closed."""

    def __init__(self) -> None:
        self.windows: list[tuple[ServedModel, ClosedWindow]] = []

    def __call__(self, served: ServedModel, _judge: Judge, window: ClosedWindow) -> None:
        """Told of one."""
        self.windows.append((served, window))

    @property
    def rows(self) -> list[int]:
        """Of each window."""
        return [window.sight.rows for _, window in self.windows]


def idle_watcher(record: Closed | None = None, **changes: Any) -> Watcher:  # noqa: ANN401  fields of the rules
    """A watcher that was not started, and so observes nothing yet."""
    return Watcher(replace(EVERY_ROW, **changes), DEVICE, record or Recorded())


@contextlib.contextmanager
def watching(record: Closed | None = None, **changes: Any) -> Iterator[Watcher]:  # noqa: ANN401  fields of the rules
    """A watcher at work, closed when the block ends."""
    watcher = idle_watcher(record, **changes)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.close()


def publish_and_load(store: Store, run_threads: RunThreads, published: BundleDraft) -> tuple[ServedModel, Bundle]:
    """A draft as the service has it."""
    bundle = store.publish(published)
    return loader_of(store, run_threads)(bundle.manifest.name, bundle.manifest.version), bundle


def judge_of(bundle: Bundle, *, alarm_rate: float = 0.001) -> Judge:
    """What judges the windows of a bundle that can be observed."""
    columns = bundle.columns()
    assert columns is not None
    return Judge(columns, bundle.calibration(), alarm_rate)


def observing_engine(bundle: Bundle) -> Engine:
    """The graph of a bundle that observes."""
    graph = bundle.observing_graph()
    assert graph is not None
    return Engine(graph, DEVICE, threads=1)


def told_of(bundle: Bundle, x: NDArray[np.float32]) -> list[NDArray[Any]]:
    """What the probe of a draft's bundle tells of rows of shape ``(rows, 4)``."""
    return observing_engine(bundle).run({"x": x}, PROBE_OUTPUTS)


def sight_of(bundle: Bundle, x: NDArray[np.float32], *, since: float = 1000.0, until: float = 1001.0) -> Sight:
    """What the layers of a draft's bundle see over rows of shape ``(rows, 4)``."""
    rows = judge_of(bundle).columns.read(*told_of(bundle, x))
    return Sight(StackedMoments.of(rows), rows.not_finite, since, until)


def run_rows(served: ServedModel, x: NDArray[np.float32]) -> NDArray[Any]:
    """What a draft that is served answers to one request."""
    request = InferenceRequest(None, [Tensor("x", "FP32", x)], None, binary_outputs=False)
    return asyncio.run(answer(served, request)).outputs[0].array
