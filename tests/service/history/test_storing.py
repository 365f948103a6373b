import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, text

from benchmarks.history.check import check
from models.moments import Moments
from service.history.database import Database
from service.history.recorder import Recorder
from service.history.storing import store
from service.history.window import Window
from tests.service.history.conftest import NewDatabase
from tests.service.history.parts import DEADLINE_S, NOON, Told, kept_for_ever, read, record, window

ROOT = Path(__file__).parents[3]
CHANNELS = 3
RECORDERS = 3

# A merge rounds by about 1e-16 of the numbers it works on, which are below 1e3 here, and there are at most 40.
TOLERANCE = 1e-9


@st.composite
def splits(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Windows by their rows, up to nine, and by the minute after noon in which they were closed."""
    return draw(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 150)), min_size=1, max_size=40))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=splits(), seed=st.integers(0, 2**32))
def test_whatever_the_split_the_order_and_the_recorder_periods_are_what_all_rows_are(
    new_database: NewDatabase, split: Sequence[tuple[int, int]], seed: int
) -> None:
    url = new_database()
    rows = np.random.default_rng(seed).normal(100, 3, (sum(count for count, _ in split), CHANNELS))
    parts = np.split(rows, np.cumsum([count for count, _ in split])[:-1])
    by_minute = [(minute, part) for (_, minute), part in zip(split, parts, strict=True)]
    windows = [
        window(
            NOON + timedelta(minutes=minute),
            rows=len(part),
            layers=(Moments.of(part, channel_axis=1), Moments(0, np.full(1, np.nan), np.full(1, np.nan))),
        )
        for minute, part in by_minute
    ]
    windows = [windows[at] for at in np.random.default_rng(seed).permutation(len(windows))]

    told = Told()
    recorders = [Recorder(url, kept_for_ever(), stored=told) for _ in range(RECORDERS)]
    for recorder in recorders:
        recorder.start()
    for number, one in enumerate(windows):
        recorders[number % RECORDERS].record(one)
    told.wait_for(len(windows))
    for recorder in recorders:
        recorder.close()

    (day,) = read(url, "day")
    assert_is(day.layers[0], rows)
    assert (day.rows, day.windows, day.rows_not_finite) == (len(rows), len(windows), len(windows))
    assert np.isnan(day.layers[1].mean).all()
    for minutes, periods in ((1, read(url, "minute")), (60, read(url, "hour"))):
        expected: dict[int, list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = {}
        for minute, part in by_minute:
            expected.setdefault(minute // minutes, []).append(part)
        assert len(periods) == len(expected)
        for period, (number, together) in zip(periods, sorted(expected.items()), strict=True):
            assert period.since == NOON + timedelta(minutes=number * minutes)
            assert_is(period.layers[0], np.concatenate(together))


def assert_is(moments: Moments, rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    of_all = Moments.of(rows, channel_axis=1)
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, of_all.mean, rtol=TOLERANCE)
    np.testing.assert_allclose(moments.m2, of_all.m2, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_window_comes_back_as_it_was(url: URL) -> None:
    one = window()

    record(url, one)

    (period,) = read(url, "window")
    assert (period.version, period.rows, period.rows_not_finite, period.windows) == (1, 2, 1, 1)
    assert (period.since, period.until) == (one.since, one.until)
    assert (period.first_row_at, period.last_row_at) == (one.since, one.until)
    assert period.layers[0].mean.tobytes() == one.layers[0].mean.tobytes()
    assert period.layers[0].m2.tobytes() == one.layers[0].m2.tobytes()


def test_storing_a_window_again_changes_nothing(url: URL) -> None:
    one, other = window(), window()

    record(url, one, one, other)
    record(url, one)

    (day,) = read(url, "day")
    assert (day.windows, day.rows, day.layers[0].count) == (2, 4, 4)


def test_a_period_tells_when_its_first_row_came_and_its_last_window_was_closed(url: URL) -> None:
    late, early = window(NOON + timedelta(seconds=50)), window(NOON + timedelta(seconds=1))

    record(url, late, early)

    (minute,) = read(url, "minute")
    assert (minute.since, minute.until) == (NOON, NOON + timedelta(minutes=1))
    assert (minute.first_row_at, minute.last_row_at) == (early.since, late.until)


def test_versions_and_models_have_periods_of_their_own(url: URL) -> None:
    record(url, window(), window(version=2), window(model="other"))

    both = read(url, "day")

    assert [(day.version, day.windows) for day in both] == [(1, 1), (2, 1)]
    assert [day.version for day in read(url, "day", version=2)] == [2]
    assert [day.windows for day in read(url, "day", model="other")] == [1]


PROCESS = """
import sys
from sqlalchemy import make_url
from tests.service.history.parts import record, window
record(make_url(sys.argv[1]), *[window() for _ in range(50)])
"""


def test_four_processes_write_at_once(url: URL) -> None:
    command = [sys.executable, "-c", PROCESS, url.render_as_string(hide_password=False)]

    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]

    assert [writer.wait(2 * DEADLINE_S) for writer in writers] == [0, 0, 0, 0]
    findings = check(url, set())
    assert (findings.windows, findings.problems) == (200, ())
    assert [(day.windows, day.rows) for day in read(url, "day")] == [(200, 400)]


@pytest.mark.parametrize(
    "refused",
    [
        window(layers=()),
        window(layers=(Moments.empty(3),)),
        window(layers=(Moments(2**63, np.zeros(2), np.zeros(2)),)),
        window(rows=2**63),
        window(model=None),
    ],
    ids=["no layers", "other channels", "large count", "large rows", "no model"],
)
def test_a_window_that_does_not_fit_is_dropped_and_the_others_are_stored(url: URL, refused: object) -> None:
    others = [window() for _ in range(5)]
    record(url, window())
    told = Told()

    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        for one in (*others[:2], refused, *others[2:]):
            recorder.record(one)  # type: ignore[arg-type]  # it is a window
        told.wait_for(5)
        status = recorder.status()

    assert set(told.identities) == {one.id for one in others}
    assert (status.connected, status.problem) == (True, None)
    assert recorder.status().dropped == 1
    assert [day.windows for day in read(url, "day")] == [6]


def test_ids_may_come_twice_in_one_transaction(url: URL) -> None:
    identity = uuid4()

    record(url, window(id=identity), window(id=identity))

    assert [day.windows for day in read(url, "day")] == [1]


def test_a_period_that_is_damaged_is_not_written_over(url: URL) -> None:
    record(url, window())
    database = Database(url, timeout_s=1)
    with database.transaction() as connection:
        connection.execute(text("UPDATE history_periods SET moments = :moments"), {"moments": b"nothing"})

    with pytest.raises(
        ValueError, match=r"the day of .* can't be merged into: moments: expected at least 12 bytes, got 7"
    ):
        store_in(database, window())
    database.close()

    assert [period.rows for period in read(url, "window")] == [2]


def store_in(database: Database, one: Window) -> None:
    with database.transaction() as connection:
        store(connection, [one])
