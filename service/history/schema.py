"""This module brings the tables of a database up to date, one process at a time.

Alembic runs the changes in ``migrations/versions`` inside one transaction, which both databases can undo as a whole. A
database that was changed by a newer version of this package is left alone.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select

from service.errors import HistoryUnavailable
from service.history.database import Database
from service.history.tables import SCHEMA_TABLE
from service.history.urls import shown

MIGRATIONS = Path(__file__).parent / "migrations"

_PATIENCE = 30  # times as long as a transaction otherwise takes; a large table may be changed
_LOCK_KEY = 0x626E5F68697374  # "bn_hist"; PostgreSQL's advisory locks are numbers
_ALEMBIC: Final = threading.Lock()  # it keeps what it works on in globals of its modules
_REVISIONS: Final = Table(SCHEMA_TABLE, MetaData(), Column("version_num", String(32)))


def upgrade(database: Database) -> None:
    """Make the tables if there are none, and change them if they are old; does nothing if they are current.

    Raises:
        HistoryUnavailable: If the database was made by a newer version, or as ``Database.transaction`` says.
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    with database.transaction(read_only=True) as connection:
        if _is_current(database, connection, scripts):
            return
    with _ALEMBIC, database.transaction(patience=_PATIENCE) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
            connection.execute(select(func.set_config("statement_timeout", "0", True)))  # the deadline is enough
        if not _is_current(database, connection, scripts):  # another process may have been faster
            try:
                command.upgrade(_config(connection), "head")
            except CommandError as error:
                raise HistoryUnavailable(f"{shown(database.url)}: {error}") from error


def _is_current(database: Database, connection: Connection, scripts: ScriptDirectory) -> bool:
    head = scripts.get_current_head()
    found = _revision(connection)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise HistoryUnavailable(
            f"{shown(database.url)}: its schema is {found}, which is newer than this version of the service knows "
            f"({head}); update the service, or give it another database"
        )
    return found == head


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(SCHEMA_TABLE):
        return None
    return connection.execute(select(_REVISIONS.c.version_num)).scalar()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
