"""This module stores windows: each as it is, once, and merged into its minute, hour and day.

All in one transaction: a window is there and in its periods, or it is not there. So when the outcome of a commit is not
known, storing the same windows again is right in both cases; those that are there already change nothing.

Two that store at once can't lose what the other merged: a period is read under a lock, in one order, so that they can't
wait for one another either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import HistoryUnavailable
from service.history.blob import BlobError, decode, encode
from service.history.period import LENGTH, Period, RolledUp
from service.history.tables import periods, windows
from service.history.window import Window

Key = tuple[str, int, RolledUp, datetime]
"""Of a period: model, version, resolution and when it began."""

_TURNS = 5


def store(connection: Connection, batch: Sequence[Window]) -> None:
    """Store windows in the transaction that is going on; those that are there already are left out.

    Args:
        connection: Of a transaction that may write.
        batch: Some windows; those of one id are one window.

    Raises:
        ValueError: If a window can't be kept, as it is or in a period that has other layers.
        SQLAlchemyError: What the database says; nothing is stored if the transaction is rolled back.
    """
    by_id = {window.id: window for window in sorted(batch, key=lambda window: window.id)}
    if not by_id:
        return
    rows = [_row(window) for window in by_id.values()]
    inserted = connection.execute(_insert(connection, windows, rows).returning(windows.c.id)).scalars()
    new = [by_id[identity] for identity in inserted]
    for key, period in sorted(_rolled_up(new).items(), key=lambda item: item[0]):
        _merge(connection, key, period)


def _rolled_up(new: Sequence[Window]) -> Mapping[Key, Period]:
    together: dict[Key, Period] = {}
    for window in new:
        for resolution in LENGTH:
            period = Period.of(window, resolution)
            key = (window.model, window.version, resolution, period.since)
            together[key] = together[key].merge(period) if key in together else period
    return together


def _merge(connection: Connection, key: Key, seen: Period) -> None:
    """Add what was seen to a period, which may be there or not, and may be made or deleted meanwhile."""
    here = and_(*(column == part for column, part in zip(periods.primary_key, key, strict=True)))
    names = [column.name for column in periods.primary_key]
    for _ in range(_TURNS):
        found = connection.execute(select(periods).where(here).with_for_update()).one_or_none()
        if found is not None:
            connection.execute(update(periods).where(here).values(_values(_stored(found, seen).merge(seen))))
            return
        row = dict(zip(names, key, strict=True)) | _values(seen)
        if connection.execute(_insert(connection, periods, [row]).returning(periods.c.windows)).one_or_none():
            return
    raise HistoryUnavailable(f"a {key[2]} of {key[0]} is made and deleted again and again")


def _stored(row: Row[Any], like: Period) -> Period:
    try:
        layers = decode(row.moments)
    except BlobError as error:
        raise ValueError(f"the {row.resolution} of {row.since.isoformat()} can't be merged into: {error}") from error
    return replace(
        like,
        first_row_at=row.first_row_at,
        last_row_at=row.last_row_at,
        rows=row.rows,
        rows_not_finite=row.rows_not_finite,
        windows=row.windows,
        layers=layers,
    )


def _row(window: Window) -> dict[str, Any]:
    return {
        "id": window.id,
        "model": window.model,
        "version": window.version,
        "since": window.since,
        "until": window.until,
        "rows": window.rows,
        "rows_not_finite": window.rows_not_finite,
        "moments": encode(window.layers),
    }


def _values(period: Period) -> dict[str, Any]:
    return {
        "first_row_at": period.first_row_at,
        "last_row_at": period.last_row_at,
        "rows": period.rows,
        "rows_not_finite": period.rows_not_finite,
        "windows": period.windows,
        "moments": encode(period.layers),
    }


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401
    """An insert of the rows that are not there; the two databases have the same words for it, in two classes."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).values(list(rows)).on_conflict_do_nothing()
