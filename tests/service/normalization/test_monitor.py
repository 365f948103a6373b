"""What a version's layers see is added up whole, however its rows come."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.bundle import Bundle
from service.normalization.monitor import Monitor, WindowRules
from service.normalization.seen import ClosedWindow
from tests.service.normalization.watching import judge_of, sight_of, told_of
from tests.service.observing import normal_rows

WINDOW_ROWS = 40
HOUR_S = 3600.0


class Watched:
    """A monitor of a draft, and what it told.

    Args:
        bundle: The draft's.
        seconds: After so many a window is closed by time.
    """

    def __init__(self, bundle: Bundle, *, seconds: float = HOUR_S) -> None:
        self.bundle = bundle
        self.windows: list[ClosedWindow] = []
        self.woken = 0
        self.monitor = Monitor(
            judge_of(bundle),
            WindowRules(WINDOW_ROWS, seconds),
            closed=self.windows.append,
            wake=self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    def put(self, x: NDArray[np.float32]) -> None:
        """Let rows through the graph that observes."""
        self.monitor.put(told_of(self.bundle, x), len(x))

    @property
    def rows(self) -> list[int]:
        """Of each window that was closed."""
        return [window.sight.rows for window in self.windows]


@pytest.fixture
def watched(bundle: Bundle) -> Watched:
    """A monitor that has seen nothing."""
    return Watched(bundle)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), settled=st.data())
def test_any_split_into_runs_gives_the_same(bundle: Bundle, sizes: Sequence[int], settled: st.DataObject) -> None:
    """All rows are in the total, and each window has its number of rows, whenever they are added up."""
    watched, x = Watched(bundle), normal_rows(sum(sizes))

    for part in np.split(x, np.cumsum(sizes)[:-1]):
        watched.put(part)
        if settled.draw(st.booleans()):
            watched.monitor.settle(time.time())
    watched.monitor.settle(time.time())

    seen, whole = watched.monitor.seen(), sight_of(bundle, x)
    assert (seen.total.rows, seen.open.rows) == (len(x), len(x) % WINDOW_ROWS)
    assert watched.rows == [WINDOW_ROWS] * (len(x) // WINDOW_ROWS)
    # the graph rounds rows of another batch to float32 anew
    np.testing.assert_allclose(seen.total.moments.mean, whole.moments.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(seen.total.moments.variance, whole.moments.variance, rtol=1e-6)


def test_a_window_is_of_its_own_rows(watched: Watched) -> None:
    """To the row: the 41st one is the first of the next."""
    x = normal_rows(2 * WINDOW_ROWS + 1)

    watched.put(x)
    watched.monitor.settle(time.time())

    assert watched.rows == [WINDOW_ROWS] * 2
    for number, window in enumerate(watched.windows):
        own = sight_of(watched.bundle, x[number * WINDOW_ROWS :][:WINDOW_ROWS])
        np.testing.assert_allclose(window.sight.moments.mean, own.moments.mean, rtol=0, atol=1e-6)  # as above


def test_the_last_window_is_kept_with_its_judgement(watched: Watched) -> None:
    """It is the one that was told of."""
    watched.put(normal_rows(2 * WINDOW_ROWS + 1))

    watched.monitor.settle(time.time())

    last = watched.monitor.seen().window
    assert last is watched.windows[-1]
    assert last.judgement is not None


@pytest.mark.parametrize(("rows", "closed"), [(31, []), (32, [32]), (39, [39])])
def test_by_time_a_window_is_closed_that_can_be_judged(bundle: Bundle, rows: int, closed: list[int]) -> None:
    """With fewer than 32 rows it waits on."""
    watched = Watched(bundle, seconds=300.0)
    watched.put(normal_rows(rows))
    watched.monitor.settle(time.time())

    watched.monitor.settle(time.time() + 299.0)
    early = watched.rows[:]
    watched.monitor.settle(time.time() + 301.0)

    assert (early, watched.rows) == ([], closed)


def test_a_window_that_waited_for_rows_is_closed_once_it_has_them(bundle: Bundle) -> None:
    """Its time is over already."""
    watched = Watched(bundle, seconds=300.0)
    watched.put(normal_rows(31))
    watched.monitor.settle(time.time() + 301.0)

    watched.put(normal_rows(1))
    watched.monitor.settle(time.time() + 301.0)

    assert watched.rows == [32]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_left_out_and_counted_apart(watched: Watched, bad: float) -> None:
    """The others are as if these had not come."""
    x = normal_rows(10)
    broken = x.copy()
    broken[[2, 7], 1] = bad

    watched.put(broken)
    watched.monitor.settle(time.time())

    total, others = watched.monitor.seen().total, sight_of(watched.bundle, np.delete(x, [2, 7], axis=0))
    assert (total.rows, total.not_finite) == (8, 2)
    np.testing.assert_allclose(total.moments.mean, others.moments.mean, rtol=0, atol=1e-6)  # as above


def test_rows_none_of_which_is_finite_are_counted(watched: Watched) -> None:
    """Once, whatever window is open; and no window of no rows is closed for it."""
    x = np.full((WINDOW_ROWS, 4), np.nan, np.float32)

    watched.put(x)
    watched.monitor.settle(time.time() + 2 * HOUR_S)
    watched.monitor.flush()

    total = watched.monitor.seen().total
    assert (total.rows, total.not_finite, watched.rows) == (0, WINDOW_ROWS, [])


def test_rows_that_are_left_out_fill_no_window(watched: Watched) -> None:
    """A window has its number of rows that count, and knows how many others came meanwhile."""
    x = normal_rows(WINDOW_ROWS + 3)
    x[:3] = np.nan

    watched.put(x)
    watched.monitor.settle(time.time())

    assert watched.rows == [WINDOW_ROWS]
    assert watched.windows[0].sight.not_finite == 3


def test_a_reset_forgets_everything(watched: Watched) -> None:
    """What waits to be added up is not counted either."""
    watched.monitor.rows_seen = 100
    watched.put(normal_rows(WINDOW_ROWS + 1))
    watched.monitor.settle(time.time())
    watched.put(normal_rows(1))

    watched.monitor.reset()
    watched.monitor.settle(time.time())

    seen = watched.monitor.seen()
    assert (seen.rows_seen, seen.rows_dropped, seen.total.rows, seen.open.rows, seen.window) == (0, 0, 0, 0, None)


def test_after_a_reset_rows_count_again(watched: Watched) -> None:
    """As after a start."""
    watched.put(normal_rows(5))
    watched.monitor.reset()

    watched.put(normal_rows(3))
    watched.monitor.settle(time.time())

    assert watched.monitor.seen().total.rows == 3


def test_a_flush_closes_the_open_window_however_few_rows_it_has(watched: Watched) -> None:
    """Nothing that was observed is missing in the history; with so few rows nothing is judged."""
    watched.put(normal_rows(3))
    watched.monitor.settle(time.time())

    watched.monitor.flush()
    watched.monitor.flush()

    assert watched.rows == [3]
    assert watched.windows[0].judgement is None


def test_a_monitor_that_saw_nothing_has_nothing_to_flush(watched: Watched) -> None:
    """No empty window is told of."""
    watched.monitor.flush()

    seen = watched.monitor.seen()

    assert (watched.windows, seen.total.rows, seen.window) == ([], 0, None)


def test_whoever_adds_up_is_woken_for_the_first_run_that_waits(watched: Watched) -> None:
    """And not for every one."""
    for _ in range(3):
        watched.put(normal_rows(1))
    before = watched.woken
    watched.monitor.settle(time.time())

    watched.put(normal_rows(1))

    assert (before, watched.woken) == (1, 2)


def test_times_are_those_at_which_rows_came(watched: Watched) -> None:
    """Not those at which they were added up."""
    before = time.time()
    watched.put(normal_rows(1))
    after = time.time()

    watched.monitor.settle(after + 100.0)

    total = watched.monitor.seen().total
    assert total.since is not None
    assert total.until is not None
    assert before <= total.since <= total.until <= after
