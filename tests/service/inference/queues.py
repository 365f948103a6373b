"""This module makes queues before graphs for tests, the graph a function whose every run is seen and can be held up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.errors import EngineError
from service.inference.batch_rules import BatchRules
from service.inference.batcher import Batcher
from service.inference.job import Arrays, Job, Outcome, RunTimes
from service.inference.run_threads import RunThreads

DEADLINE_S = 60
POISON = -1.0
"""A value on which the graph fails."""

Answer = TypeVar("Answer")


@dataclass
class Graph:
    """Takes ``x`` of shape ``(rows, ...)`` and gives its double, its negative and each row's sum.

    Attributes:
        runs: The rows of every run, as their first values.
        outputs: The outputs of every run.
        gate: Runs wait until it is set.
        entered: Set when a run has begun.
    """

    runs: list[list[float]] = field(default_factory=list)
    outputs: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def run(self, inputs: Arrays, outputs: Sequence[str], _rows: int) -> list[NDArray[Any]]:
        """Run it."""
        x = inputs["x"]
        self.runs.append([float(row.reshape(-1)[0]) for row in x])
        self.outputs.append(list(outputs))
        self.entered.set()
        assert self.gate.wait(DEADLINE_S)
        if (x == POISON).any():
            raise EngineError("poison")
        return [answer_of(x, name) for name in outputs]


def answer_of(x: NDArray[Any], name: str) -> NDArray[Any]:
    """What the graph answers, row by row."""
    if name == "sum":
        return np.asarray(x.reshape(len(x), -1).sum(axis=1))
    return np.asarray(2 * x if name == "double" else -x)


@dataclass
class Seen:
    """Keeps what the queue tells."""

    times: list[RunTimes] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def ran(self, times: RunTimes) -> None:
        """Keep it."""
        self.times.append(times)

    def waits(self, requests: int) -> None:
        """Keep it."""
        self.waiting.append(requests)


IN_THREADS = BatchRules(
    max_rows=8,
    batch_rows=8,
    delay_s=0.0,
    max_waiting=100,
    inline_below_ms=0.0,
    ms_of=lambda rows: 1000.0 * rows,
    padded=int,
)
ON_LOOP = replace(IN_THREADS, inline_below_ms=float("inf"))


class Queue:
    """A queue before a graph, to be used on a running loop."""

    def __init__(self, rules: BatchRules, *, open_gate: bool = True) -> None:
        self.graph, self.seen = Graph(), Seen()
        if open_gate:
            self.graph.gate.set()
        self._threads = RunThreads(1)
        self.batcher = Batcher(self.graph.run, rules, self._threads, self.seen)

    def submit(
        self,
        x: NDArray[Any] | Sequence[float],
        outputs: Sequence[str] = ("double",),
        *,
        priority: int = 2,
        deadline: float | None = None,
    ) -> Job:
        """Queue rows: an array, or for each row its one value."""
        rows = np.asarray(x, np.float64)
        rows = rows[:, None] if rows.ndim == 1 else rows
        job = Job(
            inputs={"x": rows},
            outputs=outputs,
            rows=len(rows),
            kind=rows.shape[1:],
            priority=priority,
            deadline=deadline,
            answer=asyncio.get_running_loop().create_future(),
            queued_at=time.perf_counter(),
        )
        self.batcher.submit(job)
        return job

    async def expect_company(self) -> None:
        """Let requests come together, so that the next ones are expected to, and forget them."""
        for _ in range(2):
            await asyncio.gather(*(self.outcome(self.submit([0.0])) for _ in range(2)))
        self.graph.runs.clear()
        self.graph.outputs.clear()
        self.seen.times.clear()

    async def outcome(self, job: Job, gone: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """Wait for a job whose client never goes, unless ``gone`` says otherwise."""

        async def until_gone() -> None:
            await (gone() if gone is not None else asyncio.Event().wait())

        return await asyncio.wait_for(self.batcher.outcome(job, until_gone), DEADLINE_S)

    async def until_a_run_is_under_way(self) -> None:
        """Wait until the graph has begun to run something, and is held up."""
        assert await asyncio.to_thread(self.graph.entered.wait, DEADLINE_S)

    def close(self) -> None:
        """End its thread."""
        self.graph.gate.set()
        self._threads.close()


def with_queue(rules: BatchRules, use: Callable[[Queue], Awaitable[Answer]], *, open_gate: bool = True) -> Answer:
    """Use a queue on a loop of its own."""

    async def run() -> Answer:
        queue = Queue(rules, open_gate=open_gate)
        try:
            return await use(queue)
        finally:
            queue.close()

    return asyncio.run(run())
