"""This module lets rows that wait while a graph is busy run together.

No row waits for company, unless it is told to: where the graph is idle it runs what has come, and what comes meanwhile
shares the next run. Where requests come together, those of one turn of the event loop do so too. Runs that are shorter
than the way to a thread and back stay on the loop; all others go to a thread, one at a time. Rows share a run only
where their shapes are the same. A request of more rows than one run takes is run piece by piece, others in between.

Whoever waits no longer (gone, or out of time) is left out of the next run, and does those no harm with whom it shares
one. Where a run fails, each request of it runs again alone, so that an error reaches the one that it belongs to.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from service.errors import NotReady
from service.inference.batch_rules import BatchRules
from service.inference.job import Array, Arrays, Job, Outcome, Piece, RunTimes, join, split, wanted_outputs
from service.inference.observer import RunObserver
from service.inference.patience import Patience
from service.inference.run_threads import RunThreads
from service.inference.waiting import Waiting

TURN_S = 0.02
"""How long runs may stay on the event loop one after the other, in seconds, before others get a turn of it."""

Run = Callable[[Arrays, Sequence[str], int], Sequence[Array]]
"""Runs the graph: all inputs, the names of the outputs that are wanted, and how many rows are no padding."""

Result = tuple[Sequence[Array], RunTimes] | Exception
"""What a run gave one piece: its outputs and the times of the run, or an error."""


class Batcher:
    """Runs what waits for one graph; belongs to the event loop on which it is used.

    Args:
        run: Runs the graph.
        rules: How rows may share runs.
        threads: Where longer runs go.
        observer: Told of every run that succeeded, and of how many requests wait behind one.

    Attributes:
        rules: As given.
    """

    def __init__(self, run: Run, rules: BatchRules, threads: RunThreads, observer: RunObserver) -> None:
        self.rules = rules
        self._run = run
        self._threads = threads
        self._observer = observer
        self._waiting = Waiting(rules)
        self._busy = False
        self._came = 0
        self._company = False
        self._later: asyncio.TimerHandle | None = None

    def expect_room(self) -> None:
        """See that another job may wait.

        Raises:
            Overloaded: If as many wait as may; it says when there will be room.
        """
        self._waiting.expect_room()

    def submit(self, job: Job) -> None:
        """Queue a job; its ``answer`` is set when it is done.

        Raises:
            Overloaded: If as many wait as may.
        """
        self._waiting.expect_room()
        self._waiting.add(job)
        self._came += 1
        if self._came == 1:
            asyncio.get_running_loop().call_soon(self._end_turn)
        if self._busy:
            self._observer.waits(len(self._waiting))
        elif self._came == 1 and not self._company:
            self._begin()  # most likely nobody else comes in this turn of the loop

    async def outcome(self, job: Job, gone: Callable[[], Coroutine[Any, Any, object]]) -> Outcome:
        """Wait for a submitted job, at most until its deadline.

        Args:
            job: Has been submitted.
            gone: Returns when its client wants no answer any more; called only if the job has to wait.

        Raises:
            DeadlineExceeded: If it was not answered in time; a run that is under way goes on for the others in it.
            ClientGone: If its client went first; likewise.
            ServiceError: If its run failed.
        """
        if job.answer.done():
            return job.answer.result()
        try:
            await asyncio.sleep(0)  # what runs on the loop at the end of this turn is done after this
            if job.answer.done():
                return job.answer.result()
            return await self._wait(job, gone)
        except BaseException:  # given up, for whatever reason
            self._drop(job)
            raise

    def divert(self, run: Run) -> None:
        """Run something else that gives the same from now on, in the place of the graph. Any thread may call."""
        if self._run is not _closed:
            self._run = run

    def close(self) -> None:
        """Let go of the graph; no job may come after this. A run that is under way goes on."""
        self._run = _closed

    async def _wait(self, job: Job, gone: Callable[[], Coroutine[Any, Any, object]]) -> Outcome:
        patience = Patience(job, gone)
        try:
            return await job.answer
        finally:
            patience.end()

    def _drop(self, job: Job) -> None:
        """Let a job take up no place in the queue any more, and no one miss its answer."""
        if not job.answer.cancel() and not job.answer.cancelled():
            job.answer.exception()  # whoever waited for it knows already, or wants to know no more
        if self._waiting.drop(job):
            self._observer.waits(len(self._waiting))

    def _end_turn(self) -> None:
        """Run what came in this turn of the loop and was not run at once."""
        self._company, self._came = self._came > 1, 0
        if self._waiting:
            self._begin()

    def _begin(self) -> None:
        """Start a run, unless it is to wait for company."""
        if self.rules.delay_s and self._waiting.rows < self.rules.batch_rows:
            if self._later is None:
                self._later = asyncio.get_running_loop().call_later(self.rules.delay_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        """Start the next run, unless one is under way in a thread, which starts the next one itself."""
        if self._busy:
            return
        if self._later is not None:
            self._later.cancel()
            self._later = None
        loop = asyncio.get_running_loop()
        started = now = time.perf_counter()
        while pieces := self._waiting.take(now):
            if self.rules.ms_of(sum([piece.rows for piece in pieces])) >= self.rules.inline_below_ms:
                self._busy = True
                self._start(pieces, loop)
                return
            self._finish(pieces, self._compute(pieces))
            now = time.perf_counter()
            if self._waiting and now - started > TURN_S:
                loop.call_soon(self._next)
                return

    def _start(self, pieces: Sequence[Piece], loop: asyncio.AbstractEventLoop) -> None:
        """Have a thread run pieces; from the loop, or from that thread itself."""
        self._observer.waits(len(self._waiting))
        self._threads.submit(
            partial(self._work, pieces, loop), partial(self._tell, pieces, _stopped(pieces), loop, idle=True)
        )

    def _work(self, pieces: Sequence[Piece], loop: asyncio.AbstractEventLoop) -> None:
        """Run pieces, in a thread; what waits then is next, without a way through the loop on which the graph idles."""
        results = self._compute(pieces)
        following = self._waiting.take(time.perf_counter())
        self._tell(pieces, results, loop, idle=not following)
        if following:  # behind those of other models that wait for a thread
            self._start(following, loop)

    def _tell(
        self, pieces: Sequence[Piece], results: Sequence[Result], loop: asyncio.AbstractEventLoop, *, idle: bool
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(self._hear, pieces, results, idle)

    def _hear(self, pieces: Sequence[Piece], results: Sequence[Result], idle: bool) -> None:
        """What a thread has done."""
        self._finish(pieces, results)
        if idle:
            self._busy = False
            self._next()  # for what came since the thread looked

    def _compute(self, pieces: Sequence[Piece]) -> list[Result]:
        """Run pieces together, or each alone where that fails; on the loop or in a thread."""
        try:
            return self._compute_together(pieces)
        except Exception as error:  # noqa: BLE001  whatever it is, it belongs to the requests of this run
            if len(pieces) == 1:
                pieces[0].job.give_up()
                return [error]
        return [result for piece in pieces for result in self._compute([piece])]

    def _compute_together(self, pieces: Sequence[Piece]) -> list[Result]:
        started = time.perf_counter()
        rows = sum(piece.rows for piece in pieces)
        inputs = join(pieces, rows=self.rules.padded(rows))
        names = wanted_outputs(pieces)
        joined = time.perf_counter()
        outputs = self._run(inputs, names, rows)
        ran = time.perf_counter()
        parts = split(pieces, names, outputs)
        done = time.perf_counter()
        times = RunTimes(rows, len(pieces), joined - started, ran - joined, done - ran)
        return [(part, times) for part in parts]

    def _finish(self, pieces: Sequence[Piece], results: Sequence[Result]) -> None:
        told: RunTimes | None = None
        for piece, result in zip(pieces, results, strict=True):
            if isinstance(result, Exception):
                piece.job.fail(result)
                continue
            outputs, times = result
            if times is not told:  # pieces of one run follow one another
                self._observer.ran(times)
                told = times
            piece.job.finish(outputs, rows=piece.rows, seconds=times.input_s + times.infer_s + times.output_s)


def _closed(_inputs: Arrays, _outputs: Sequence[str], _rows: int) -> Sequence[Array]:
    raise NotReady("this version is not served any more")


def _stopped(pieces: Sequence[Piece]) -> list[Result]:
    return [NotReady("the server has stopped")] * len(pieces)
