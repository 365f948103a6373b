"""This module opens SQLite files, so that several processes can write to one and what was committed stays.

Write-ahead logging lets readers go on while one writes. ``synchronous=FULL`` waits for the disk at every commit. A
transaction that will write takes the lock at its beginning (``BEGIN IMMEDIATE``): one that read first could not wait
for it any more, since what it has read would be old.

Source: https://sqlite.org/wal.html, https://sqlite.org/lang_transaction.html
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import HistoryUnavailable

READ_ONLY = "history_read_only"
"""The execution option of a transaction that only reads."""


def open_sqlite(url: URL, *, timeout_s: float) -> Engine:
    """An engine whose transactions are SQLite's own; the file is opened by the first of them.

    Args:
        url: With the path of the file; its folder is made if need be.
        timeout_s: How long to wait for another process that writes.

    Raises:
        HistoryUnavailable: If there can be no such folder.
    """
    assert url.database is not None
    path = Path(url.database).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HistoryUnavailable(f"the folder of the SQLite file {path} can't be made: {error.strerror}") from error
    engine = create_engine(
        url.set(database=str(path)), connect_args={"timeout": timeout_s}, pool_timeout=timeout_s, hide_parameters=True
    )

    def connected(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        record.info["file"] = _identity(path)

    def begin(connection: Connection) -> None:
        if connection.connection.info["file"] != _identity(path):
            connection.invalidate()  # what is written to a deleted file is lost
            raise HistoryUnavailable(f"the SQLite file {path} was deleted or replaced")
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)
    return engine


def interrupt_sqlite(connection: Any) -> None:  # noqa: ANN401  a connection of any driver
    """Make the statement that runs fail."""
    with contextlib.suppress(sqlite3.Error):
        connection.interrupt()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file there is under a path, if any."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
