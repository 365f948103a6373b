"""This module is the queue before one graph: jobs in their order, and which of them share the next run.

Jobs come and go on the event loop; what runs next is taken there or in a thread.
"""

from __future__ import annotations

import bisect
import threading

from service.errors import Overloaded
from service.inference.batch_rules import BatchRules
from service.inference.job import Job, Piece


class Waiting:
    """Jobs that wait: the more urgent first, equals as they came.

    Args:
        rules: How many may wait, and how they may share runs.
    """

    def __init__(self, rules: BatchRules) -> None:
        self._rules = rules
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def rows(self) -> int:
        """Rows of all jobs."""
        return sum(job.rows_left for job in self._jobs)

    def expect_room(self) -> None:
        """See that another job may wait.

        Raises:
            Overloaded: If as many wait as may; it says when there will be room.
        """
        rules = self._rules
        if len(self._jobs) < rules.max_waiting:
            return
        raise Overloaded(
            f"expected at most {rules.max_waiting} requests that wait for this model, got one more",
            retry_after_s=self.rows / rules.batch_rows * rules.ms_of(rules.batch_rows) / 1000,
        )

    def add(self, job: Job) -> None:
        """Queue a job behind those as urgent as it."""
        with self._lock:
            self._add(job)

    def drop(self, job: Job) -> bool:
        """Let a job take up no place any more; whether it did."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            return True

    def take(self, now: float) -> list[Piece]:
        """The rows of the next run: those of the first job, and of others that may share it, in their order.

        Jobs that nobody waits for any more, or whose time is over, are left out and take up no place after this.

        Args:
            now: As ``time.perf_counter`` counts.
        """
        taken: list[Piece] = []
        left: list[Job] = []
        rules, room, kind, unfinished = self._rules, 0, None, None
        with self._lock:
            for index, job in enumerate(self._jobs):
                if not job.rows_left or job.answer.done() or (job.deadline is not None and job.deadline < now):
                    continue
                if not taken:
                    kind, room = job.kind, rules.batch_rows - job.rows_left
                    taken.append(job.take(rules.max_rows, now))
                    unfinished = job if job.rows_left else None
                elif job.kind == kind and job.rows_left <= room:
                    room -= job.rows_left
                    taken.append(job.take(job.rows_left, now))
                else:
                    left.append(job)
                if room <= 0:
                    left += self._jobs[index + 1 :]
                    break
            self._jobs = left
            if unfinished is not None:  # it queues again
                self._add(unfinished)
        return taken

    def _add(self, job: Job) -> None:
        jobs = self._jobs
        if not jobs or jobs[-1].priority <= job.priority:
            jobs.append(job)
        else:
            bisect.insort(jobs, job, key=_priority)


def _priority(job: Job) -> int:
    return job.priority
