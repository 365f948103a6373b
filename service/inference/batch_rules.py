"""This module says how rows of one graph may share runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchRules:
    """How rows of one graph may share runs.

    Attributes:
        max_rows: Most rows of one run.
        batch_rows: Most rows of several requests that share one.
        delay_s: How long a row may wait for company while the graph is idle, in seconds.
        max_waiting: Most requests that wait.
        inline_below_ms: Runs expected to be shorter stay on the event loop.
        ms_of: How long a run of so many rows takes, in milliseconds.
        padded: How many rows a run of so many is padded to.
    """

    max_rows: int
    batch_rows: int
    delay_s: float
    max_waiting: int
    inline_below_ms: float
    ms_of: Callable[[int], float]
    padded: Callable[[int], int]
