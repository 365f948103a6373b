import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, inspect, text

from service.errors import HistoryUnavailable
from service.history.database import Database
from service.history.schema import upgrade
from service.history.tables import SCHEMA_TABLE, metadata
from tests.service.history.parts import DEADLINE_S


@contextmanager
def opened(url: URL) -> Iterator[Database]:
    database = Database(url, timeout_s=5)
    yield database
    database.close()


def test_the_migrations_make_the_tables_that_the_code_knows(url: URL) -> None:
    with opened(url) as database:
        upgrade(database)

        with database.transaction() as connection:
            context = MigrationContext.configure(
                connection, opts={"version_table": SCHEMA_TABLE, "compare_server_default": True}
            )
            differences = compare_metadata(context, metadata)

    assert differences == []


def test_a_database_of_this_version_is_left_as_it_is(url: URL) -> None:
    with opened(url) as database:
        upgrade(database)

        upgrade(database)

        with database.transaction() as connection:
            assert set(inspect(connection).get_table_names()) == {
                "history_schema",
                "history_windows",
                "history_periods",
            }


def test_a_database_of_a_newer_version_is_refused(url: URL) -> None:
    with opened(url) as database:
        upgrade(database)
        with database.transaction() as connection:
            connection.execute(text("UPDATE history_schema SET version_num = '9999'"))

        with pytest.raises(HistoryUnavailable, match=r"its schema is 9999, which is newer .* knows \(0001\)"):
            upgrade(database)


def test_many_that_begin_at_once_make_the_tables_once(url: URL, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "alembic.runtime.migration")
    problems: list[HistoryUnavailable] = []

    def begin() -> None:
        try:
            with opened(url) as database:
                upgrade(database)
        except HistoryUnavailable as problem:
            problems.append(problem)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert problems == []
    assert len([line for line in caplog.messages if line.startswith("Running upgrade")]) == 1
