"""This module is the load generator: a process of its own that sends prepared requests and tells how they went.

    python -m benchmarks.serving.load < load.json

Two kinds of load. *Closed*: every connection sends its next request when it has the answer to the last; what is
measured is how much the server can do. *Open*: requests are due at a constant rate, whatever the server does, and
their time counts from when they were due: one that waits for a free connection has waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

import uvloop
from pydantic import BaseModel, ConfigDict

from benchmarks.serving.connection import AnswerError, Connection
from benchmarks.serving.ticks import ticking

GRACE_S = 20.0
"""How long to wait for the last answers."""


class Load(BaseModel):
    """What to send, and for how long.

    Attributes:
        port: Of this machine's loopback interface.
        requests: Files, each a whole request; they are sent in turn.
        connections: How many, all open before the first request is sent.
        seconds: How long answers are counted.
        settle_s: How long before that they are not.
        rate: Requests a second; None for a closed load.
    """

    model_config = ConfigDict(frozen=True)

    port: int
    requests: tuple[Path, ...]
    connections: int
    seconds: float
    settle_s: float
    rate: float | None = None


class Outcome(BaseModel):
    """How it went.

    Attributes:
        answers: How many came with status 200 while they were counted.
        errors: Other statuses, lost connections, and requests that were never answered; at any time.
        requests_per_s: Of these answers.
        p50_ms: Median latency; in an open load from when the request was due.
        p99_ms: Its 99th percentile.
    """

    model_config = ConfigDict(frozen=True)

    answers: int
    errors: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float


def main() -> int:
    """Read a load from stdin, apply it, write the outcome to stdout."""
    load = Load.model_validate_json(sys.stdin.read())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            outcome = runner.run(apply(load))
        except (AnswerError, OSError) as error:
            sys.stderr.write(f"load: {error}\n")
            return 1
    print(outcome.model_dump_json())
    return 0


async def apply(load: Load) -> Outcome:
    """Apply a load to a server that is there.

    Raises:
        OSError: If it can't be connected to.
        AnswerError: If no answer came while they were counted.
    """
    run = _Run(load)
    gc.disable()  # a pause of ours would count as one of the server
    try:
        await run.connect()
        await (run.closed() if load.rate is None else run.open(load.rate))
        return run.outcome()
    finally:
        gc.enable()
        await run.close()


class ClosedLoad:
    """A closed load that is applied turn by turn, over the same connections.

    Args:
        load: Of each turn; it has no rate.
    """

    def __init__(self, load: Load) -> None:
        assert load.rate is None
        self._run = _Run(load)

    async def connect(self) -> None:
        """Open every connection.

        Raises:
            OSError: If the server can't be connected to.
        """
        await self._run.connect()

    async def turn(self) -> Outcome:
        """Apply it once more; no request is under way afterwards.

        Raises:
            AnswerError: If no answer came while they were counted.
        """
        self._run.begin_anew()
        gc.disable()
        try:
            await self._run.closed()
            return self._run.outcome()
        finally:
            gc.enable()

    async def close(self) -> None:
        """End every connection."""
        await self._run.close()


class _Run:
    """One load being applied."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests: Sequence[bytes] = [path.read_bytes() for path in load.requests]
        self._sent = 0
        self._connections: list[Connection] = []
        self._num_connections = 0
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._latencies: list[float] = []
        self._errors = 0
        self._counting_from = self._ending = 0.0
        self._all_due = False
        self._ended = asyncio.Event()
        self._all_lost = asyncio.Event()

    async def connect(self) -> None:
        """Open every connection."""
        loop = asyncio.get_running_loop()
        for _ in range(self._load.connections):
            connection = Connection(self._answered, self._lost)
            await loop.create_connection(partial(_itself, connection), "127.0.0.1", self._load.port)
            self._connections.append(connection)
            self._free.append(connection)
            self._num_connections += 1

    async def closed(self) -> None:
        """Keep every connection busy."""
        now = self._start()
        while self._free:
            self._send(self._free.popleft(), now)
        await self._until_the_last_answer()

    def begin_anew(self) -> None:
        """Count from the beginning; only when nothing is under way."""
        self._latencies, self._errors = [], 0
        self._all_due = False
        self._ended = asyncio.Event()

    async def open(self, rate: float) -> None:
        """Send at a constant rate."""
        started = self._start()
        arrivals = (started + number / rate for number in count(1))
        due = next(arrivals)

        def arrive(until: float) -> None:
            nonlocal due
            while due <= until and due < self._ending:
                self._waiting.append(due)
                due = next(arrivals)
            while self._waiting and self._free:
                self._send(self._free.popleft(), self._waiting.popleft())

        with ticking(asyncio.get_running_loop(), rate, lambda: arrive(time.perf_counter())):
            await asyncio.sleep(self._ending - started)
        arrive(self._ending)
        await self._until_the_last_answer()

    async def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.abort()
        if self._num_connections:
            await self._all_lost.wait()

    def outcome(self) -> Outcome:
        """What came of it; what is not answered by now never is.

        Raises:
            AnswerError: If no answer came while they were counted.
        """
        errors = self._errors + self._num_unanswered()
        if not self._latencies:
            raise AnswerError(f"expected answers within {self._load.seconds:g} s, got none, and {errors} errors")
        ordered = sorted(self._latencies)
        return Outcome(
            answers=len(ordered),
            errors=errors,
            requests_per_s=len(ordered) / self._load.seconds,
            p50_ms=1e3 * _quantile(ordered, 0.5),
            p99_ms=1e3 * _quantile(ordered, 0.99),
        )

    def _start(self) -> float:
        now = time.perf_counter()
        self._counting_from = now + self._load.settle_s
        self._ending = self._counting_from + self._load.seconds
        return now

    def _send(self, connection: Connection, due: float) -> None:
        connection.send(self._requests[self._sent % len(self._requests)], due=due)
        self._sent += 1

    def _answered(self, connection: Connection, success: bool) -> None:
        now = time.perf_counter()
        # a closed load counts what was answered in time, an open one what was due in time, however late it came
        moment = now if self._load.rate is None else connection.due
        if not success:
            self._errors += 1
        elif self._counting_from <= moment < self._ending:
            self._latencies.append(now - connection.due)
        if self._load.rate is None and now < self._ending:
            self._send(connection, now)
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)
            self._end_if_done()

    def _lost(self, connection: Connection) -> None:
        self._num_connections -= 1
        self._errors += 1
        if not connection.busy:
            self._free.remove(connection)
        if self._num_connections == 0:
            self._all_lost.set()
        self._end_if_done()

    async def _until_the_last_answer(self) -> None:
        self._all_due = True
        self._end_if_done()
        patience = max(0.0, self._ending - time.perf_counter()) + GRACE_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), patience)

    def _num_unanswered(self) -> int:
        return self._num_connections - len(self._free) + len(self._waiting)

    def _end_if_done(self) -> None:
        if self._num_connections == 0 or (self._all_due and self._num_unanswered() == 0):
            self._ended.set()


def _itself(connection: Connection) -> Connection:
    return connection


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


if __name__ == "__main__":
    sys.exit(main())
