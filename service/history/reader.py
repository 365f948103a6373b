"""This module reads the history of a model: the windows or periods of some time, oldest first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import URL, ColumnElement, Connection, Row, Select, Table, and_, func, select

from service.errors import HistoryUnavailable, InvalidRequest
from service.history.blob import BlobError, decode
from service.history.database import Database
from service.history.period import LENGTH, Period, Resolution
from service.history.schema import upgrade
from service.history.tables import periods, windows
from service.history.urls import shown

Result = TypeVar("Result")

FINEST_FIRST: Sequence[Resolution] = get_args(Resolution)
"""All resolutions, from single windows to days."""


class Reader:
    """Reads from any thread, connects when first asked, and has to be closed.

    Args:
        url: From ``parse_url`` or ``sqlite_url``.
        timeout_s: Of connecting and of every statement.
    """

    def __init__(self, url: URL, *, timeout_s: float = 5.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._database: Database | None = None

    def read(
        self,
        model: str,
        version: int | None,
        since: datetime,
        until: datetime,
        resolution: Resolution | Literal["auto"],
        limit: int,
    ) -> list[Period]:
        """What was seen of a model in some time. Blocks.

        Args:
            model: Its name; one that was never seen has no periods.
            version: Of the model; None for all, each in periods of its own.
            since: Periods that end later are told, whole; and windows that were closed then or later.
            until: Periods that begin earlier are told, whole; and windows that were closed earlier.
            resolution: ``auto`` takes the finest that reaches as far back as any, with at most ``limit`` periods.
            limit: Most periods, from 1.

        Returns:
            Ascending by when the period began, then by version; for windows by when they were closed.

        Raises:
            InvalidRequest: If there are more periods than the limit, or the question makes no sense.
            HistoryUnavailable: If the database is away or damaged.
        """
        _check(since, until, resolution, limit)
        where = (model, version, since, until)

        def answer(connection: Connection) -> list[Period]:
            chosen = _finest(connection, where, limit) if resolution == "auto" else resolution
            rows = connection.execute(_select(chosen, where).limit(limit + 1)).all()
            if len(rows) > limit:
                raise InvalidRequest(_too_many(chosen, limit))
            return [_period(row, chosen) for row in rows]

        try:
            return self._answered(answer)
        except BlobError as error:
            raise HistoryUnavailable(f"{shown(self._url)}: the history of {model} is damaged: {error}") from error

    def close(self) -> None:
        """Close the database; reading opens it again."""
        with self._lock:
            database, self._database = self._database, None
        if database is not None:
            database.close()

    def _answered(self, answer: Callable[[Connection], Result]) -> Result:
        began = monotonic()
        database, is_new = self._open()
        try:
            return _ask(database, answer)
        except HistoryUnavailable:
            self.close()
            if is_new or monotonic() - began > self._timeout_s / 2:
                raise
        # a connection breaks when the database starts anew, and that may be long ago
        database, _ = self._open()
        return _ask(database, answer)

    def _open(self) -> tuple[Database, bool]:
        found = self._database
        if found is not None:
            return found, False
        database = Database(self._url, timeout_s=self._timeout_s)
        try:
            upgrade(database)
        except BaseException:
            database.close()
            raise
        with self._lock:
            found = self._database
            self._database = found or database
        if found is None:
            return database, True
        database.close()  # another thread was faster
        return found, False


def _ask(database: Database, answer: Callable[[Connection], Result]) -> Result:
    with database.transaction(read_only=True) as connection:
        return answer(connection)


Where = tuple[str, int | None, datetime, datetime]
"""Model, version, since and until."""


def _check(since: datetime, until: datetime, resolution: str, limit: int) -> None:
    for name, time in (("since", since), ("until", until)):
        if time.tzinfo is None:
            raise InvalidRequest(f"{name}: expected a time with its zone, got {time.isoformat()}")
    if since >= until:
        raise InvalidRequest(f"until: expected a time after {since.isoformat()}, got {until.isoformat()}")
    if resolution not in (*FINEST_FIRST, "auto"):
        raise InvalidRequest(f"resolution: expected {', '.join(FINEST_FIRST)} or auto, got {resolution}")
    if limit < 1:
        raise InvalidRequest(f"limit: expected at least 1, got {limit}")


def _finest(connection: Connection, where: Where, limit: int) -> Resolution:
    """The finest resolution that reaches as far back as any, as finer ones are deleted first, and fits the limit."""
    oldest = {resolution: _oldest(connection, resolution, where) for resolution in FINEST_FIRST}
    farthest = min((time for time in oldest.values() if time is not None), default=None)
    for resolution in FINEST_FIRST:
        reached = oldest[resolution]
        if farthest is None or (reached is not None and reached <= max(where[2], farthest)):
            counted = select(func.count()).select_from(_select(resolution, where).limit(limit + 1).subquery())
            if connection.execute(counted).scalar_one() <= limit:
                return resolution
    return "day"


def _oldest(connection: Connection, resolution: Resolution, where: Where) -> datetime | None:
    """When the oldest row came that is still told of."""
    table, _ = _table(resolution)
    began = windows.c.since if resolution == "window" else periods.c.first_row_at
    return connection.execute(select(func.min(began)).where(_of(table, resolution, where[:2]))).scalar()


def _select(resolution: Resolution, where: Where) -> Select[Any]:
    table, time = _table(resolution)
    _, _, since, until = where
    in_time = time >= since if resolution == "window" else time > since - LENGTH[resolution]
    return select(table).where(_of(table, resolution, where[:2]), in_time, time < until).order_by(time, table.c.version)


def _of(table: Table, resolution: Resolution, model: tuple[str, int | None]) -> ColumnElement[bool]:
    name, version = model
    conditions = [table.c.model == name]
    if version is not None:
        conditions.append(table.c.version == version)
    if resolution != "window":
        conditions.append(table.c.resolution == resolution)
    return and_(*conditions)


def _table(resolution: Resolution) -> tuple[Table, ColumnElement[datetime]]:
    return (windows, windows.c.until) if resolution == "window" else (periods, periods.c.since)


def _period(row: Row[Any], resolution: Resolution) -> Period:
    single = resolution == "window"
    return Period(
        version=row.version,
        since=row.since,
        until=row.until if resolution == "window" else row.since + LENGTH[resolution],
        first_row_at=row.since if single else row.first_row_at,
        last_row_at=row.until if single else row.last_row_at,
        rows=row.rows,
        rows_not_finite=row.rows_not_finite,
        windows=1 if single else row.windows,
        layers=decode(row.moments),
    )


def _too_many(resolution: Resolution, limit: int) -> str:
    coarser = FINEST_FIRST[FINEST_FIRST.index(resolution) + 1 :]
    choices = [
        "a shorter time",
        *([f"a coarser resolution ({', '.join(coarser)})"] if coarser else []),
        "a higher limit",
    ]
    return f"resolution: expected at most {limit} periods, got more of {resolution}; ask for {' or '.join(choices)}"
