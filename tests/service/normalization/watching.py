"""This module watches versions for tests, with whatever is not being tested out of the way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from service.inference.devices import CPU, choose_device
from service.inference.served_model import ServedModel
from service.normalization.judgement import Judge
from service.normalization.monitor import WindowRules
from service.normalization.seen import ClosedWindow
from service.normalization.watcher import ObservingRules, Record, Watcher

DEADLINE_S = 20
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


def idle_watcher(record: Record | None = None, **changes: Any) -> Watcher:  # noqa: ANN401  fields of the rules
    """A watcher that was not started, and so observes nothing yet."""
    return Watcher(replace(EVERY_ROW, **changes), DEVICE, record or Recorded())


@contextlib.contextmanager
def watching(record: Record | None = None, **changes: Any) -> Iterator[Watcher]:  # noqa: ANN401  fields of the rules
    """A watcher at work, closed when the block ends."""
    watcher = idle_watcher(record, **changes)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.close()


def until_true(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    never = threading.Event()
    for _ in range(DEADLINE_S * 100):
        if condition():
            return
        never.wait(0.01)
    raise AssertionError(f"it did not come about within {DEADLINE_S} s")
