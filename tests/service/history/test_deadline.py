import threading

from service.history.deadline import Deadline
from tests.service.history.parts import DEADLINE_S


def test_a_block_that_ends_in_time_loses_nothing() -> None:
    cut: list[str] = []

    with Deadline(DEADLINE_S, cut.append) as deadline:
        deadline.watch("connection")

    assert (cut, deadline.expired) == ([], False)


def test_what_a_block_uses_when_its_time_is_over_is_cut_and_what_it_uses_later_too() -> None:
    cut: list[str] = []
    over = threading.Event()

    def end(connection: str) -> None:
        cut.append(connection)
        over.set()

    with Deadline(0.01, end) as deadline:
        deadline.watch("first")
        over.wait(DEADLINE_S)
        deadline.watch("second")

    assert (cut, deadline.expired) == (["first", "second"], True)
