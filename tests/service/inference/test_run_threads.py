import threading
from collections.abc import Iterator

import pytest

from service.inference.run_threads import RunThreads

DEADLINE_S = 60


@pytest.fixture
def threads() -> Iterator[RunThreads]:
    """Two threads."""
    made = RunThreads(2)
    yield made
    made.close()


def unexpected() -> None:
    raise AssertionError("this was not to be called")


def test_what_is_given_is_done_in_its_order() -> None:
    threads, done, last = RunThreads(1), list[int](), threading.Event()

    for number in range(100):
        threads.submit(lambda number=number: done.append(number), unexpected)  # type: ignore[misc]
    threads.submit(last.set, unexpected)

    assert last.wait(DEADLINE_S)
    assert done == list(range(100))
    threads.close()


def test_as_much_is_done_at_once_as_there_are_threads(threads: RunThreads) -> None:
    meeting = threading.Barrier(3)

    def meet() -> None:
        meeting.wait(DEADLINE_S)

    for _ in range(2):
        threads.submit(meet, unexpected)

    meeting.wait(DEADLINE_S)  # breaks if they do not meet


def test_what_was_not_begun_before_the_end_is_told_so() -> None:
    begun, go_on = threading.Event(), threading.Event()
    finished, stopped = threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        go_on.wait(DEADLINE_S)
        finished.set()

    alone = RunThreads(1)
    alone.submit(work, unexpected)
    assert begun.wait(DEADLINE_S)
    for number in range(3):
        alone.submit(unexpected, lambda number=number: stopped.append(number))  # type: ignore[misc]

    alone.close()

    assert stopped == [0, 1, 2]
    go_on.set()
    assert finished.wait(DEADLINE_S)


def test_what_comes_after_the_end_is_told_so(threads: RunThreads) -> None:
    stopped = threading.Event()
    threads.close()

    threads.submit(unexpected, stopped.set)

    assert stopped.is_set()


def test_the_threads_end(threads: RunThreads) -> None:
    done = threading.Event()
    threads.submit(done.set, unexpected)
    assert done.wait(DEADLINE_S)
    running = [thread for thread in threading.enumerate() if thread.name.startswith("inference-")]

    threads.close()

    for thread in running:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in running)
