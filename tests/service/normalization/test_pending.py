import threading
import time

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from service.normalization.pending import Pending, read_together
from tests.service.normalization.watching import judge_of, told_of
from tests.service.observing import normal_rows

PLENTY = 2**20


def outputs(first: float, rows: int, *, values: int = 1) -> list[NDArray[np.generic]]:
    """What a probe of one layer with three channels tells: every mean is that of its row, counted from the first."""
    means = np.repeat(np.arange(first, first + rows, dtype=np.float32)[:, None], 3, axis=1)
    return [means, np.ones_like(means), np.array([values])]


def firsts(pending: Pending) -> list[list[float]]:
    """The means of all that waits, run by run."""
    return [told.means[:, 0].tolist() for told in pending.take()]


def test_what_was_told_is_taken_in_its_order() -> None:
    """And once."""
    pending = Pending(PLENTY)
    for first in (0.0, 2.0, 4.0):
        pending.put(outputs(first, 2), 2)

    found = firsts(pending)

    assert found == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert pending.take() == []


def test_padding_is_not_kept() -> None:
    """It lies behind the rows."""
    pending = Pending(PLENTY)

    pending.put(outputs(0.0, 8), 3)

    assert firsts(pending) == [[0.0, 1.0, 2.0]]


def test_only_the_first_that_waits_is_news() -> None:
    """Whoever adds up is woken once; after that everything is taken."""
    pending = Pending(PLENTY)

    news = [pending.put(outputs(0.0, 1), 1) for _ in range(3)]
    pending.take()

    assert news == [True, False, False]
    assert pending.put(outputs(0.0, 1), 1)


def test_what_there_is_no_room_for_is_dropped_and_counted() -> None:
    """A run of two rows and three channels takes 48 bytes; what was told before stays."""
    pending = Pending(100)

    for first in (0.0, 2.0, 4.0):
        pending.put(outputs(first, 2), 2)

    assert pending.rows_dropped == 2
    assert firsts(pending) == [[0.0, 1.0], [2.0, 3.0]]


def test_there_is_room_again_once_all_was_taken() -> None:
    """The bound is of what waits."""
    pending = Pending(50)
    pending.put(outputs(0.0, 2), 2)
    pending.take()

    pending.put(outputs(2.0, 2), 2)

    assert pending.rows_dropped == 0
    assert firsts(pending) == [[2.0, 3.0]]


def test_padding_counts_as_what_it_keeps_in_memory() -> None:
    """A part of an array holds the whole."""
    pending = Pending(100)

    pending.put(outputs(0.0, 8), 1)

    assert pending.rows_dropped == 1
    assert pending.take() == []


def test_no_row_is_lost_where_threads_put_and_one_takes() -> None:
    """Each row is taken once."""
    pending, found = Pending(2**30), list[float]()
    threads = [
        threading.Thread(target=lambda start=start: [pending.put(outputs(start + i, 1), 1) for i in range(200)])
        for start in (0.0, 1000.0)
    ]
    for thread in threads:
        thread.start()

    while any(thread.is_alive() for thread in threads):
        found += [first for run in firsts(pending) for first in run]
    found += [first for run in firsts(pending) for first in run]

    assert sorted(found) == [*range(200), *range(1000, 1200)]


def test_runs_that_follow_one_another_are_read_together(bundle: Bundle) -> None:
    """One sum of many rows is cheaper than many sums."""
    pending, x, before = Pending(PLENTY), normal_rows(5), time.time()
    for part in (x[:2], x[2:]):
        pending.put(told_of(bundle, part), len(part))

    ((rows, since, until),) = read_together(pending.take(), judge_of(bundle).columns)

    assert len(rows) == 5
    assert before <= since <= until <= time.time()


def test_rows_of_other_shapes_are_read_apart(bundle: Bundle) -> None:
    """Their figures are over another number of values; the order in which they came stays."""
    pending, columns = Pending(PLENTY), judge_of(bundle).columns
    for values in (1, 1, 4, 1):
        pending.put(outputs(0.0, 2, values=values), 2)

    found = read_together(pending.take(), columns)

    assert [(len(rows), rows.values.tolist()) for rows, _, _ in found] == [
        (4, [1, 1, 1]),
        (2, [4, 4, 4]),
        (2, [1, 1, 1]),
    ]


def test_where_nothing_waits_there_is_nothing_to_read(bundle: Bundle) -> None:
    """As between two requests."""
    columns = judge_of(bundle).columns

    found = read_together([], columns)

    assert found == []
