import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.errors import ClientGone, DeadlineExceeded, EngineError, NotReady, Overloaded
from service.inference.batch_rules import BatchRules
from service.inference.job import Array, Arrays
from tests.service.inference.queues import IN_THREADS, ON_LOOP, POISON, Queue, with_queue

BOTH = pytest.mark.parametrize("rules", [IN_THREADS, ON_LOOP], ids=["in threads", "on the loop"])


@BOTH
def test_rows_alone_are_run_alone_and_at_once(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return (await queue.outcome(queue.submit([1, 2, 3]))).outputs[0]

    answer = with_queue(rules, ask)

    np.testing.assert_array_equal(answer, [[2], [4], [6]])


@BOTH
def test_rows_that_come_in_the_same_turn_of_the_loop_share_a_run(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        await queue.expect_company()
        await asyncio.gather(*(queue.outcome(queue.submit([value])) for value in (1, 2, 3)))
        return queue.graph.runs

    runs = with_queue(rules, ask)

    assert runs == [[1, 2, 3]]


@BOTH
def test_where_no_one_else_came_of_late_a_row_does_not_wait_for_its_turn_to_end(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        await asyncio.gather(*(queue.outcome(queue.submit([value])) for value in (1, 2, 3)))
        return queue.graph.runs

    runs = with_queue(rules, ask)

    assert runs == [[1], [2, 3]]


def test_rows_that_wait_while_the_graph_is_busy_share_the_next_run() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        first = queue.submit([1])
        await queue.until_a_run_is_under_way()
        others = [queue.submit([2, 3]), queue.submit([4])]
        queue.graph.gate.set()
        await asyncio.gather(*map(queue.outcome, [first, *others]))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask, open_gate=False)

    assert runs == [[1], [2, 3, 4]]


@BOTH
def test_each_request_gets_its_own_rows_and_outputs_in_its_own_order(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[list[float]]]:
        await queue.expect_company()
        jobs = [
            queue.submit([1, 2], ["double"]),
            queue.submit([3], ["negative", "double"]),
            queue.submit([4], ["sum", "negative"]),
        ]
        outcomes = await asyncio.gather(*map(queue.outcome, jobs))
        assert len(queue.graph.runs) == 1
        return [[output.reshape(-1).tolist() for output in outcome.outputs] for outcome in outcomes]

    answers = with_queue(rules, ask)

    assert answers == [[[2, 4]], [[-3], [6]], [[4], [-4]]]


@BOTH
def test_only_the_outputs_that_someone_wants_are_computed(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[str]]:
        await queue.expect_company()
        await asyncio.gather(*(queue.outcome(queue.submit([1], names)) for names in (["sum"], ["negative", "sum"])))
        return queue.graph.outputs

    outputs = with_queue(rules, ask)

    assert outputs == [["sum", "negative"]]


@BOTH
def test_rows_of_other_shapes_never_share_a_run(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[int]:
        await queue.expect_company()
        jobs = [queue.submit(np.full((1, width), float(width))) for width in (1, 2, 1, 2)]
        await asyncio.gather(*map(queue.outcome, jobs))
        return [len(run) for run in queue.graph.runs]

    runs = with_queue(rules, ask)

    assert runs == [2, 2]


@BOTH
def test_no_run_has_more_rows_than_may_share_one(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        await queue.expect_company()
        jobs = [queue.submit([value, value]) for value in range(5)]
        await asyncio.gather(*map(queue.outcome, jobs))
        return queue.graph.runs

    runs = with_queue(replace(rules, max_rows=5, batch_rows=5), ask)

    assert runs == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4]]


@BOTH
def test_a_request_of_more_rows_than_a_run_takes_is_run_in_pieces(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> tuple[list[int], list[list[float]]]:
        outcome = await queue.outcome(queue.submit(range(20), ["double", "sum"]))
        return [len(run) for run in queue.graph.runs], [output.reshape(-1).tolist() for output in outcome.outputs]

    runs, (double, total) = with_queue(rules, ask)

    assert runs == [8, 8, 4]
    assert double == [2 * value for value in range(20)]
    assert total == list(range(20))


def test_others_get_in_between_the_pieces_of_a_large_request() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        large = queue.submit([0] * 24)
        await queue.until_a_run_is_under_way()
        small = queue.submit([1])
        queue.graph.gate.set()
        await asyncio.gather(queue.outcome(large), queue.outcome(small))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask, open_gate=False)

    assert [len(run) for run in runs] == [8, 8, 1, 8]


def test_a_request_between_the_two_limits_is_run_whole_and_alone() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        await queue.expect_company()
        jobs = [queue.submit(values) for values in ([1], [2, 2, 2, 2], [3])]
        await asyncio.gather(*map(queue.outcome, jobs))
        return queue.graph.runs

    runs = with_queue(replace(IN_THREADS, max_rows=8, batch_rows=2), ask)

    assert sorted(runs) == [[1, 3], [2, 2, 2, 2]]


@BOTH
def test_a_batch_is_padded_with_copies_of_its_last_row_that_no_one_gets(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> tuple[list[list[float]], list[float]]:
        await queue.expect_company()
        outcomes = await asyncio.gather(*(queue.outcome(queue.submit([value])) for value in (1, 2, 3)))
        return queue.graph.runs, [float(outcome.outputs[0][0, 0]) for outcome in outcomes]

    runs, answers = with_queue(replace(rules, padded=lambda rows: 4 if rows == 3 else rows), ask)

    assert runs == [[1, 2, 3, 3]]
    assert answers == [2, 4, 6]


@BOTH
def test_an_error_reaches_the_one_that_it_belongs_to(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[object]:
        jobs = [queue.submit([value]) for value in (1, POISON, 3)]
        return await asyncio.gather(*map(queue.outcome, jobs), return_exceptions=True)

    first, second, third = with_queue(rules, ask)

    assert isinstance(second, EngineError)
    assert not isinstance(first, Exception)
    assert not isinstance(third, Exception)


def test_a_large_request_that_fails_in_one_piece_fails_once_and_runs_no_further() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        with pytest.raises(EngineError, match="poison"):
            await queue.outcome(queue.submit([POISON, *range(30)]))
        await queue.outcome(queue.submit([5]))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask)

    assert [len(run) for run in runs] == [8, 1]


@BOTH
def test_urgent_requests_go_first_and_equals_in_their_order(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        await queue.expect_company()
        jobs = [queue.submit([value], priority=priority) for value, priority in ((1, 2), (2, 3), (3, 1), (4, 2))]
        await asyncio.gather(*map(queue.outcome, jobs))
        return queue.graph.runs

    runs = with_queue(replace(rules, batch_rows=1, max_rows=1), ask)

    assert runs == [[3], [1], [4], [2]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def ask(queue: Queue) -> Overloaded:
        first = queue.submit([0])
        await queue.until_a_run_is_under_way()
        waiting = [queue.submit([1]), queue.submit([2, 3])]
        with pytest.raises(Overloaded) as refusal:
            queue.submit([4])
        queue.graph.gate.set()
        await asyncio.gather(*map(queue.outcome, [first, *waiting]))
        return refusal.value

    refusal = with_queue(replace(IN_THREADS, max_waiting=2), ask, open_gate=False)

    assert str(refusal) == "expected at most 2 requests that wait for this model, got one more"
    assert refusal.retry_after_s == pytest.approx(3.0)  # three rows of a second each


def test_there_is_room_again_once_the_queue_has_moved() -> None:
    async def ask(queue: Queue) -> int:
        for _ in range(5):
            jobs = [queue.submit([1]), queue.submit([2])]
            await asyncio.gather(*map(queue.outcome, jobs))
        return sum(map(len, queue.graph.runs))

    rows = with_queue(replace(IN_THREADS, max_waiting=2), ask)

    assert rows == 10


def test_a_deadline_passes_while_another_batch_runs() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        first = queue.submit([1])
        await queue.until_a_run_is_under_way()
        late = queue.submit([2], deadline=time.perf_counter() + 0.02)
        with pytest.raises(DeadlineExceeded):
            await queue.outcome(late)
        assert queue.seen.waiting[-1] == 0
        queue.graph.gate.set()
        await queue.outcome(first)
        await queue.outcome(queue.submit([3]))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask, open_gate=False)

    assert runs == [[1], [3]]


def test_a_deadline_passes_while_its_own_batch_runs_and_its_neighbour_is_answered() -> None:
    async def ask(queue: Queue) -> float:
        late, neighbour = queue.submit([1], deadline=time.perf_counter() + 0.02), queue.submit([2])
        with pytest.raises(DeadlineExceeded):
            await queue.outcome(late)
        queue.graph.gate.set()
        return float((await queue.outcome(neighbour)).outputs[0][0, 0])

    answer = with_queue(IN_THREADS, ask, open_gate=False)

    assert answer == 4


@BOTH
def test_rows_whose_deadline_has_passed_are_not_run(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        late, other = queue.submit([1], deadline=time.perf_counter() - 1), queue.submit([2])
        with pytest.raises(DeadlineExceeded):
            await queue.outcome(late)
        await queue.outcome(other)
        return queue.graph.runs

    runs = with_queue(rules, ask)

    assert runs == [[2]]


def test_rows_of_a_client_that_is_gone_are_not_run() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        first = queue.submit([1])
        await queue.until_a_run_is_under_way()
        left, other = queue.submit([2]), queue.submit([3])
        with pytest.raises(ClientGone):
            await queue.outcome(left, gone=lambda: asyncio.sleep(0))
        queue.graph.gate.set()
        await asyncio.gather(queue.outcome(first), queue.outcome(other))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask, open_gate=False)

    assert runs == [[1], [3]]


def test_a_client_that_goes_while_its_batch_runs_does_its_neighbours_no_harm() -> None:
    async def ask(queue: Queue) -> float:
        left, neighbour = queue.submit([1]), queue.submit([2])
        with pytest.raises(ClientGone):
            await queue.outcome(left, gone=lambda: asyncio.sleep(0))
        queue.graph.gate.set()
        return float((await queue.outcome(neighbour)).outputs[0][0, 0])

    answer = with_queue(IN_THREADS, ask, open_gate=False)

    assert answer == 4


def test_a_waiter_that_is_cancelled_leaves_the_queue() -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        first = queue.submit([1])
        await queue.until_a_run_is_under_way()
        waiter = asyncio.create_task(queue.outcome(queue.submit([2])))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        queue.graph.gate.set()
        await queue.outcome(first)
        await queue.outcome(queue.submit([3]))
        return queue.graph.runs

    runs = with_queue(IN_THREADS, ask, open_gate=False)

    assert runs == [[1], [3]]


@BOTH
def test_an_idle_graph_waits_for_company_if_it_is_told_to(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[list[float]]:
        first = asyncio.create_task(queue.outcome(queue.submit([1])))
        for _ in range(10):
            await asyncio.sleep(0)
        await asyncio.gather(first, queue.outcome(queue.submit([2])))
        return queue.graph.runs

    runs = with_queue(replace(rules, delay_s=0.2), ask)

    assert runs == [[1, 2]]


@BOTH
def test_a_full_batch_waits_for_no_one(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> None:
        await asyncio.gather(*(queue.outcome(queue.submit([value])) for value in range(8)))

    with_queue(replace(rules, delay_s=10_000.0), ask)


@BOTH
def test_every_run_is_told_of_with_its_rows_and_requests(rules: BatchRules) -> None:
    async def ask(queue: Queue) -> list[tuple[int, int]]:
        await queue.expect_company()
        await asyncio.gather(*(queue.outcome(queue.submit(values)) for values in ([1, 2], [3])))
        await queue.outcome(queue.submit([4]))
        assert all(min(times.input_s, times.infer_s, times.output_s) >= 0 for times in queue.seen.times)
        return [(times.rows, times.requests) for times in queue.seen.times]

    times = with_queue(rules, ask)

    assert times == [(3, 2), (1, 1)]


def test_an_outcome_says_how_long_it_waited_and_was_computed() -> None:
    async def ask(queue: Queue) -> tuple[float, float]:
        first = queue.submit([1])
        await queue.until_a_run_is_under_way()
        second = queue.submit([2])
        await asyncio.sleep(0.02)
        queue.graph.gate.set()
        outcomes = await asyncio.gather(queue.outcome(first), queue.outcome(second))
        return outcomes[0].compute_s, outcomes[1].queue_s

    computed, waited = with_queue(IN_THREADS, ask, open_gate=False)

    assert computed >= 0.02
    assert waited >= 0.02


@BOTH
def test_runs_can_be_diverted_to_what_gives_the_same(rules: BatchRules) -> None:
    """From the next run on; what waited already goes there too."""
    diverted: list[int] = []

    async def ask(queue: Queue) -> list[list[float]]:
        await queue.outcome(queue.submit([1]))

        def run(inputs: Arrays, outputs: Sequence[str], rows: int) -> Sequence[Array]:
            diverted.append(rows)
            return queue.graph.run(inputs, outputs, rows)

        queue.batcher.divert(run)
        outcome = await queue.outcome(queue.submit([2, 3]))
        return outcome.outputs[0].tolist()  # type: ignore[no-any-return]

    answer = with_queue(rules, ask)

    assert (answer, diverted) == ([[4], [6]], [2])


def test_a_run_is_told_how_many_of_its_rows_are_no_padding() -> None:
    """Nobody sent the others, and what observes must not count them."""
    told: list[tuple[int, int]] = []

    async def ask(queue: Queue) -> None:
        def run(inputs: Arrays, outputs: Sequence[str], rows: int) -> Sequence[Array]:
            told.append((len(inputs["x"]), rows))
            return queue.graph.run(inputs, outputs, rows)

        queue.batcher.divert(run)
        await queue.outcome(queue.submit([1, 2, 3]))

    with_queue(replace(ON_LOOP, padded=lambda _rows: 8), ask)

    assert told == [(8, 3)]


@BOTH
def test_a_closed_graph_can_not_be_diverted(rules: BatchRules) -> None:
    """Whoever opens what observes may be late."""

    async def ask(queue: Queue) -> None:
        queue.batcher.close()
        queue.batcher.divert(queue.graph.run)
        await queue.outcome(queue.submit([1]))

    with pytest.raises(NotReady, match="not served any more"):
        with_queue(rules, ask)
