from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import URL, text

from benchmarks.history.check import check
from benchmarks.history.windows import random_window
from service.history.database import Database
from service.history.schema import upgrade
from service.history.storing import store
from service.history.urls import sqlite_url
from service.history.window import Window


@pytest.fixture
def windows() -> list[Window]:
    """Some windows."""
    random = np.random.default_rng(0)
    return [random_window(random) for _ in range(100)]


@pytest.fixture
def url(tmp_path: Path, windows: list[Window]) -> URL:
    """A history of the windows."""
    url = sqlite_url(tmp_path / "history.sqlite")
    database = Database(url, timeout_s=5)
    upgrade(database)
    with database.transaction() as connection:
        store(connection, windows)
    database.close()
    return url


def change(url: URL, statement: str) -> None:
    database = Database(url, timeout_s=5)
    with database.transaction() as connection:
        connection.execute(text(statement))
    database.close()


def test_a_whole_history_has_no_problem(url: URL, windows: list[Window]) -> None:
    findings = check(url, {window.id for window in windows})

    assert (findings.windows, findings.missing, findings.problems) == (100, 0, ())


def test_a_window_that_was_reported_and_is_not_there_is_missed(url: URL) -> None:
    findings = check(url, {uuid4()})

    assert (findings.missing, findings.problems) == (1, ("1 windows that were reported as stored are missing",))


OTHER = "is not what its windows are together"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE history_periods SET rows = rows + 1 WHERE rowid = 3", OTHER),
        ("UPDATE history_periods SET last_row_at = first_row_at WHERE rowid = 3", OTHER),
        (
            "UPDATE history_periods SET moments = (SELECT max(moments) FROM history_periods) WHERE resolution = 'day'",
            OTHER,
        ),
        ("DELETE FROM history_periods WHERE rowid = 3", "is not there"),
        ("UPDATE history_periods SET version = 9 WHERE rowid = 3", "has no window"),
    ],
)
def test_a_period_that_is_not_what_is_in_it_is_found(url: URL, statement: str, problem: str) -> None:
    change(url, statement)

    findings = check(url, set())

    assert any(problem in found for found in findings.problems)
