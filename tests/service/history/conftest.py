from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL

from benchmarks.history.postgres import PostgresServer, find_binaries, running_postgres
from service.history.urls import sqlite_url

NewDatabase = Callable[[], URL]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, for all tests of the session."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    """Makes empty databases, of both kinds in turn."""
    if request.param == "sqlite":
        return lambda: sqlite_url(tmp_path / f"{uuid4().hex}.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda: server.create_database(uuid4().hex)


@pytest.fixture
def url(new_database: NewDatabase) -> URL:
    """An empty database, of both kinds in turn."""
    return new_database()
