from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, create_engine, text

from benchmarks.history.postgres import PostgresServer, find_binaries, running_postgres
from service.history.urls import sqlite_url

NewDatabase = Callable[[], URL]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, for all tests of the session."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(binaries, fsync=False) as server:
        yield server


@pytest.fixture
def new_schema(postgres: PostgresServer) -> NewDatabase:
    """Makes empty schemas of one PostgreSQL database, which takes far less time than databases."""

    def make() -> URL:
        name = f"history_{uuid4().hex}"
        engine = create_engine(postgres.url("postgres"))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return postgres.url("postgres").update_query_dict({"options": f"-csearch_path={name}"})

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    """Makes empty databases, of both kinds in turn."""
    if request.param == "sqlite":
        return lambda: sqlite_url(tmp_path / f"{uuid4().hex}.sqlite")
    make: NewDatabase = request.getfixturevalue("new_schema")
    return make


@pytest.fixture
def url(new_database: NewDatabase) -> URL:
    """An empty database, of both kinds in turn."""
    return new_database()
