import time
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from service.errors import HistoryUnavailable
from service.history.database import Database
from service.history.urls import sqlite_url
from tests.service.history.conftest import NewDatabase
from tests.service.history.parts import DEADLINE_S

ENDLESS = {
    "sqlite": "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT count(*) FROM number",
    "postgresql": "SELECT pg_sleep(60)",
}


def execute(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_statement_without_end_is_ended(url: URL) -> None:
    database = Database(url, timeout_s=0.2)
    before = time.monotonic()

    with (
        pytest.raises(HistoryUnavailable, match=r"no answer within 0.4 s|statement timeout"),
        database.transaction() as connection,
    ):
        connection.execute(text(ENDLESS[connection.dialect.name]))
    database.close()

    assert time.monotonic() - before < DEADLINE_S


def test_a_transaction_that_fails_leaves_nothing_behind(url: URL) -> None:
    database = Database(url, timeout_s=1)
    execute(database, "CREATE TABLE numbers (n integer)")

    with pytest.raises(HistoryUnavailable, match="nowhere"):
        execute(database, "INSERT INTO numbers VALUES (1)", "SELECT * FROM nowhere")

    with database.transaction(read_only=True) as connection:
        assert connection.execute(text("SELECT count(*) FROM numbers")).scalar() == 0
    database.close()


def test_an_sqlite_file_is_written_so_that_a_commit_stays(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "new folder" / "history.sqlite"), timeout_s=1)

    with database.transaction(read_only=True) as connection:
        modes = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    database.close()

    assert modes == ["wal", 2]  # 2 is FULL


@pytest.mark.parametrize(("asked", "expected"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_a_postgresql_server_waits_for_its_disk_at_least(new_schema: NewDatabase, asked: str, expected: str) -> None:
    url = new_schema().update_query_dict({"options": f"-csynchronous_commit={asked}"})
    database = Database(url, timeout_s=1)

    with database.transaction() as connection:
        mode = connection.execute(text("SHOW synchronous_commit")).scalar()
    database.close()

    assert mode == expected
