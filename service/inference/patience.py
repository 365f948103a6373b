"""This module looks after a job that waits: until its time is over, or its client is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from service.errors import ClientGone, DeadlineExceeded
from service.inference.job import Job

UNWATCHED_S = 0.05
"""What is answered sooner is not watched: that would take longer than it could save."""


class Patience:
    """Ends the waiting of a job early, where nobody wants its answer any more; belongs to the running event loop.

    Args:
        job: Waits.
        gone: Returns when its client wants no answer any more.
    """

    def __init__(self, job: Job, gone: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._job = job
        self._gone = gone
        self._watch: asyncio.Future[object] | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            min(UNWATCHED_S, self._left_s()), self._begin
        )

    def end(self) -> None:
        """Look after it no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(self._gone())
        self._watch.add_done_callback(self._abandon)
        self._timer = None
        if self._job.deadline is not None:
            self._timer = asyncio.get_running_loop().call_later(self._left_s(), self._expire)

    def _left_s(self) -> float:
        """Seconds that are left of its time, as far as it has an end."""
        return float("inf") if self._job.deadline is None else self._job.deadline - time.perf_counter()

    def _expire(self) -> None:
        self._end_with(DeadlineExceeded("expected an answer within the time of this request, got none yet"))

    def _abandon(self, _watch: object) -> None:
        self._end_with(ClientGone("expected a client that waits for its answer, it is gone"))

    def _end_with(self, error: Exception) -> None:
        if not self._job.answer.done():
            self._job.answer.set_exception(error)
