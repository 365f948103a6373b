"""This module is the two tables of the history.

There are two, since a window and a period have different keys and lives: a window is found by its id, which makes
storing it twice harmless, and is never changed; a period is found by what it is of, and grows. One table would need
both keys, each empty for half of its rows.

A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Index, LargeBinary, MetaData, String, Table, Uuid
from sqlalchemy.types import TypeDecorator

MODEL_CHARACTERS = 128
SCHEMA_TABLE = "history_schema"
"""Where Alembic keeps the revision; not its usual name, since the database may have other tables, and its own."""


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone: PostgreSQL keeps the moment, SQLite, which has no zones, what a clock in UTC showed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database is given."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What came from the database, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


metadata = MetaData()

windows = Table(
    "history_windows",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("model", String(MODEL_CHARACTERS), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rows_not_finite", BigInteger, nullable=False),
    Column("moments", LargeBinary, nullable=False),
    Index("history_windows_by_model", "model", "version", "until", "since"),
    Index("history_windows_by_age", "until"),
)

periods = Table(
    "history_periods",
    metadata,
    Column("model", String(MODEL_CHARACTERS), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("resolution", String(8), primary_key=True),
    Column("since", UtcTime, primary_key=True),
    Column("first_row_at", UtcTime, nullable=False),
    Column("last_row_at", UtcTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("rows_not_finite", BigInteger, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("moments", LargeBinary, nullable=False),
    Index("history_periods_by_age", "resolution", "since"),
)
