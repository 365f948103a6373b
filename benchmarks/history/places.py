"""This module is the databases of the kill study: how one is made, and how it is taken from whoever writes."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, create_engine, text

from benchmarks.history.postgres import PostgresServer, find_binaries, running_postgres
from service.history.urls import sqlite_url

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE half_done (x)")
print("held", flush=True)
sys.stdin.read()
"""


class Place(Protocol):
    """Where histories can be kept."""

    @property
    def software(self) -> str:
        """What keeps them, with its version."""

    def new(self) -> URL:
        """Make an empty database."""

    def take_away(self, url: URL, pace: float) -> str:
        """Make a database unusable for a moment, as roughly as can be; returns when it is back, and says what was done.

        Args:
            url: Of the database that is written to.
            pace: For how long, in parts of the usual time.
        """


class SqlitePlace:
    """Files in a folder. What can be taken is the lock: its holder is killed in the middle of a change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self.software = f"SQLite {sqlite3.sqlite_version}"

    def new(self) -> URL:
        """The URL of a file that is not there yet."""
        return sqlite_url(self._folder / f"history-{next(self._numbers)}.sqlite")

    def take_away(self, url: URL, pace: float) -> str:
        """Let another process hold the lock for longer than a writer waits, and kill it."""
        command = [sys.executable, "-c", _HOLD, str(url.database)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603
            assert holder.stdout is not None
            holder.stdout.readline()
            time.sleep(pace * random.uniform(2, 4))  # noqa: S311  the moment of a kill
            holder.kill()
        return "whoever held its lock was killed"


class PostgresPlace:
    """Databases of a server, which is killed or stopped without order, and started again."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        engine = create_engine(server.url("postgres"))
        with engine.connect() as connection:
            self.software = f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        engine.dispose()

    def new(self) -> URL:
        """A database on the server."""
        return self._server.create_database(f"history{next(self._numbers)}")

    def take_away(self, url: URL, pace: float) -> str:  # noqa: ARG002  the server is that of all
        """Kill the server's main process, or all of them, and start it again after a moment."""
        kill = random.random() < 0.5  # noqa: S311
        if kill:
            self._server.kill()
        else:
            self._server.stop("immediate")
        time.sleep(pace * random.uniform(0, 2))  # noqa: S311
        self._server.start()
        return "its main process was killed" if kill else "it was stopped without order"


@contextlib.contextmanager
def open_place(name: str, *, fsync: bool) -> Iterator[Place]:
    """A place for histories that is gone after the block.

    Args:
        name: ``sqlite`` or ``postgresql``.
        fsync: Whether a server waits for its disk.

    Raises:
        FileNotFoundError: If there is no PostgreSQL on this machine.
    """
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="history-") as folder:
            yield SqlitePlace(Path(folder))
        return
    binaries = find_binaries()
    if binaries is None:
        raise FileNotFoundError("expected initdb and pg_ctl of PostgreSQL on the PATH, found none")
    with running_postgres(binaries, fsync=fsync) as server:
        yield PostgresPlace(server)
