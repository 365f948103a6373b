"""Whatever comes in whatever order, batched answers equal unbatched ones."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ClientGone, DeadlineExceeded, EngineError, ServiceError
from service.inference.job import Outcome
from tests.service.inference.queues import IN_THREADS, POISON, Queue, answer_of, with_queue


@dataclass(frozen=True)
class Asked:
    """One request of a run of the test, and what its client does."""

    rows: int
    width: int
    outputs: Sequence[str]
    priority: int
    poisoned: bool
    turns_before: int
    fate: str

    def x(self, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Its rows, no two requests have the same."""
        x = np.arange(self.rows * self.width, dtype=np.float64).reshape(self.rows, self.width) + 1000 * (index + 1)
        if self.poisoned:
            x[self.rows // 2] = POISON
        return x


ASKED = st.builds(
    Asked,
    rows=st.integers(1, 12),
    width=st.integers(1, 2),
    outputs=st.lists(st.sampled_from(["double", "negative", "sum"]), min_size=1, max_size=3, unique=True),
    priority=st.integers(1, 3),
    poisoned=st.integers(0, 9).map(lambda dice: dice == 0),
    turns_before=st.integers(0, 3),
    fate=st.sampled_from(["waits"] * 6 + ["goes", "is late", "is cancelled"]),
)
RULES = st.builds(
    lambda max_rows, batch_rows, delay_s, inline_rows, padded: replace(
        IN_THREADS,
        max_rows=max_rows,
        batch_rows=min(batch_rows, max_rows),
        delay_s=delay_s,
        inline_below_ms=1000.0 * inline_rows,
        padded=(lambda rows: rows + rows % 2) if padded else int,
    ),
    max_rows=st.integers(1, 8),
    batch_rows=st.integers(1, 8),
    delay_s=st.sampled_from([0.0, 0.0, 0.001]),
    inline_rows=st.integers(0, 9),  # runs of fewer rows stay on the loop, others go to the thread
    padded=st.booleans(),
)


async def fate_of(queue: Queue, index: int, asked: Asked) -> Outcome | BaseException:
    """What one client gets."""
    for _ in range(asked.turns_before):
        await asyncio.sleep(0)
    deadline = time.perf_counter() if asked.fate == "is late" else None
    job = queue.submit(asked.x(index), asked.outputs, priority=asked.priority, deadline=deadline)
    gone = (lambda: asyncio.sleep(0)) if asked.fate == "goes" else None
    waiter = asyncio.create_task(queue.outcome(job, gone))
    if asked.fate == "is cancelled":
        await asyncio.sleep(0)
        waiter.cancel()
    return (await asyncio.gather(waiter, return_exceptions=True))[0]


@settings(max_examples=150, deadline=None)
@given(st.lists(ASKED, min_size=1, max_size=10), RULES)
def test_batched_answers_equal_unbatched_ones(requests, rules) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    async def ask(queue: Queue) -> list[Outcome | BaseException]:
        return await asyncio.gather(*(fate_of(queue, index, asked) for index, asked in enumerate(requests)))

    def use(queue: Queue):  # type: ignore[no-untyped-def]  # noqa: ANN202
        used.append(queue)
        return ask(queue)

    used: list[Queue] = []
    outcomes = with_queue(rules, use)

    for index, (asked, outcome) in enumerate(zip(requests, outcomes, strict=True)):
        if isinstance(outcome, Outcome):
            assert not asked.poisoned
            for name, found in zip(asked.outputs, outcome.outputs, strict=True):
                np.testing.assert_array_equal(found, answer_of(asked.x(index), name), strict=True)
        else:
            assert isinstance(outcome, ServiceError | asyncio.CancelledError)
            assert asked.poisoned or asked.fate != "waits"
            assert not isinstance(outcome, EngineError) or asked.poisoned
            assert not isinstance(outcome, ClientGone) or asked.fate == "goes"
            assert not isinstance(outcome, DeadlineExceeded) or asked.fate == "is late"
    limit = rules.padded(rules.max_rows)
    assert all(len(run) <= limit for run in used[0].graph.runs)
