from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import URL

from service.history.database import Database
from service.history.period import Resolution
from service.history.recorder import Recorder
from service.history.retention import Retention, delete_expired
from tests.service.history.parts import HURRIED, NOON, Told, read, record, until_true, window

HOUR = timedelta(hours=1)
RETENTION = Retention(windows=HOUR, minutes=2 * HOUR, hours=26 * HOUR, days=72 * HOUR)
RESOLUTIONS: tuple[Resolution, ...] = ("window", "minute", "hour", "day")


def expire(url: URL, now: datetime, most: int = 100) -> list[int]:
    """How many were deleted, by resolution."""
    database = Database(url, timeout_s=1)
    deleted = []
    for resolution in RESOLUTIONS:
        with database.transaction() as connection:
            deleted.append(delete_expired(connection, RETENTION, resolution, now=now, most=most))
    database.close()
    return deleted


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (timedelta(minutes=59), [0, 0, 0, 0]),
        (timedelta(minutes=61), [1, 0, 0, 0]),
        (timedelta(hours=3), [1, 1, 0, 0]),
        (timedelta(hours=27), [1, 1, 1, 0]),
        (timedelta(hours=61), [1, 1, 1, 1]),
    ],
)
def test_the_finer_goes_first(url: URL, later: timedelta, expected: list[int]) -> None:
    record(url, window())

    deleted = expire(url, NOON + later)

    assert deleted == expected


def test_no_more_is_deleted_at_once_than_was_asked_for_and_the_oldest_first(url: URL) -> None:
    record(url, *(window(NOON - timedelta(minutes=minute)) for minute in range(3)))

    deleted = expire(url, NOON + 3 * HOUR, most=2)

    assert deleted == [2, 2, 0, 0]
    assert [period.last_row_at for period in read(url, "window")] == [NOON]
    assert [period.since for period in read(url, "minute")] == [NOON]


def test_a_window_that_comes_late_is_still_counted_in_what_is_kept(url: URL) -> None:
    record(url, window())
    expire(url, NOON + 3 * HOUR)

    record(url, window(NOON + timedelta(seconds=1)))

    assert [period.windows for period in read(url, "minute")] == [1]
    assert [period.windows for period in read(url, "hour")] == [2]


def test_a_recorder_deletes_what_is_old_by_itself(url: URL) -> None:
    old, recent = window(NOON - timedelta(days=1)), window(datetime.now(UTC))
    record(url, *(window(old.until) for _ in range(300)))
    told = Told()

    with Recorder(url, replace(HURRIED, retention=Retention(HOUR, HOUR, HOUR, 10_000 * HOUR)), stored=told) as recorder:
        recorder.record(recent)
        told.wait_for(1)
        until_true(lambda: [len(read(url, finer)) for finer in RESOLUTIONS] == [1, 1, 1, 2])

    days = read(url, "day")
    assert [day.windows for day in days] == [300, 1]


@pytest.mark.parametrize("retention", [{"windows": timedelta(0)}, {"minutes": timedelta(hours=23)}, {"days": HOUR}])
def test_times_that_make_no_sense_are_refused(retention: dict[str, timedelta]) -> None:
    with pytest.raises(ValueError, match="retention: expected positive times, the finer the shorter, got"):
        Retention(**retention)
