"""This module holds what one model may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What one model may take.

    Attributes:
        max_batch_rows: Most rows of one run.
        max_batch_delay_ms: How long a row waits for company while the model is idle.
        max_queue_requests: Most requests that wait.
        request_timeout_ms: When a request that asks for nothing less is given up; 0 for never.
        inline_below_ms: Runs shorter than this stay on the event loop.
        warm_up_s: How long larger batches may be tried before a version is ready.
    """

    max_batch_rows: int
    max_batch_delay_ms: float
    max_queue_requests: int
    request_timeout_ms: int
    inline_below_ms: float
    warm_up_s: float
