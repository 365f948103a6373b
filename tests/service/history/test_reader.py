import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text

from benchmarks.history.postgres import PostgresServer
from service.errors import HistoryUnavailable, InvalidRequest
from service.history.database import Database
from service.history.reader import Reader
from service.history.retention import Retention, delete_expired
from service.history.urls import sqlite_url
from tests.service.history.parts import NOON, read, record, until_true, window

MINUTE = timedelta(minutes=1)


@pytest.fixture
def two_hours(url: URL) -> URL:
    """A window every ten minutes from noon, 12 in all, in 12 minutes, 2 hours and 1 day."""
    record(url, *(window(NOON + number * 10 * MINUTE) for number in range(12)))
    return url


def test_periods_come_oldest_first(two_hours: URL) -> None:
    windows, minutes = read(two_hours, "window"), read(two_hours, "minute")

    assert [period.until for period in windows] == [NOON + number * 10 * MINUTE for number in range(12)]
    assert [period.since for period in minutes] == [period.until for period in windows]


def test_periods_that_overlap_the_time_are_told_whole(two_hours: URL) -> None:
    asked = {"since": NOON + 55 * MINUTE, "until": NOON + 60 * MINUTE}

    assert [(hour.since, hour.windows) for hour in read(two_hours, "hour", **asked)] == [(NOON, 6)]
    assert [day.windows for day in read(two_hours, "day", **asked)] == [12]
    assert read(two_hours, "minute", **asked) == []


def test_windows_are_told_by_when_they_were_closed(two_hours: URL) -> None:
    told = read(two_hours, "window", since=NOON + 10 * MINUTE, until=NOON + 30 * MINUTE)

    assert [period.until for period in told] == [NOON + 10 * MINUTE, NOON + 20 * MINUTE]


def test_a_model_that_was_never_seen_has_no_history(two_hours: URL) -> None:
    assert [read(two_hours, "window", model="other"), read(two_hours, "auto", model="other")] == [[], []]


@pytest.mark.parametrize(("limit", "expected"), [(12, 12), (11, 2), (2, 2), (1, 1)])
def test_auto_takes_the_finest_that_fits_the_limit(two_hours: URL, limit: int, expected: int) -> None:
    periods = read(two_hours, "auto", limit=limit)

    assert len(periods) == expected


def test_auto_takes_no_resolution_of_which_the_beginning_was_deleted(two_hours: URL) -> None:
    database = Database(two_hours, timeout_s=1)
    keep = Retention(windows=timedelta(hours=1))
    with database.transaction() as connection:
        delete_expired(connection, keep, "window", now=NOON + 90 * MINUTE, most=100)
    database.close()

    of_all = read(two_hours, "auto")
    of_the_end = read(two_hours, "auto", since=NOON + 40 * MINUTE)

    assert {period.until - period.since for period in of_all} == {MINUTE}
    assert {period.until - period.since for period in of_the_end} == {timedelta(seconds=5)}


def test_too_many_periods_are_refused_with_what_would_be_fewer(two_hours: URL) -> None:
    expected = (
        "resolution: expected at most 3 periods, got more of minute; "
        r"ask for a shorter time or a coarser resolution \(hour, day\) or a higher limit"
    )

    with pytest.raises(InvalidRequest, match=expected):
        read(two_hours, "minute", limit=3)


def test_even_days_can_be_too_many(url: URL) -> None:
    record(url, window(), window(NOON - timedelta(days=1)))

    with pytest.raises(InvalidRequest, match="got more of day; ask for a shorter time or a higher limit"):
        read(url, "auto", limit=1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"since": datetime(2026, 1, 1)}, "since: expected a time with its zone, got 2026-01-01T00:00:00"),
        ({"until": datetime(2026, 1, 1)}, "until: expected a time with its zone, got 2026-01-01T00:00:00"),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, "until: expected a time after"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
        ({"resolution": "week"}, "resolution: expected window, minute, hour, day or auto, got week"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    question: dict[str, Any] = {"resolution": "day"} | changes

    with pytest.raises(InvalidRequest, match=problem):
        read(sqlite_url(tmp_path / "history.sqlite"), **question)


def test_moments_that_are_damaged_are_told(two_hours: URL) -> None:
    database = Database(two_hours, timeout_s=1)
    with database.transaction() as connection:
        connection.execute(text("UPDATE history_windows SET moments = :moments"), {"moments": b"nothing"})
    database.close()

    with pytest.raises(HistoryUnavailable, match="the history of tiny is damaged: moments: expected at least 12 bytes"):
        read(two_hours, "window")


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader that has read a day of a PostgreSQL database."""
    url: URL = request.getfixturevalue("new_schema")()
    record(url, window())
    reader = Reader(url, **getattr(request, "param", {}))
    ask(reader)
    yield reader
    reader.close()


def ask(reader: Reader) -> int:
    """How many windows there are in days."""
    found = reader.read("tiny", 1, NOON - timedelta(days=1), NOON + timedelta(days=1), "day", 10)
    return sum(day.windows for day in found)


def test_a_reader_survives_a_database_that_starts_anew(reader: Reader, postgres: PostgresServer) -> None:
    postgres.stop("immediate")
    postgres.start()

    assert ask(reader) == 1


def test_a_reader_says_that_the_database_is_away_and_reads_when_it_is_back(
    reader: Reader, postgres: PostgresServer
) -> None:
    postgres.stop("immediate")
    with pytest.raises(HistoryUnavailable, match="postgresql"):
        ask(reader)
    postgres.start()

    assert ask(reader) == 1


@pytest.mark.parametrize("reader", [{"timeout_s": 1}], indirect=True)
def test_a_reader_does_not_wait_for_a_database_that_stands_still(reader: Reader, postgres: PostgresServer) -> None:
    postgres.freeze(frozen=True)
    try:
        with pytest.raises(HistoryUnavailable, match=r"no answer within 2 s|timeout expired"):
            ask(reader)
    finally:
        postgres.freeze(frozen=False)

    until_true(lambda: answers(reader))


def answers(reader: Reader) -> bool:
    """Whether a question is answered, and by the one window that there is."""
    with contextlib.suppress(HistoryUnavailable):
        return ask(reader) == 1
    return False
