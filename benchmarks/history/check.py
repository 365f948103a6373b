"""This module looks for what is wrong in a history: windows that are missing, periods that are not what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import URL, Connection, Row, select, text

from service.history.blob import decode
from service.history.database import Database
from service.history.period import LENGTH, Period
from service.history.schema import upgrade
from service.history.tables import periods, windows
from service.history.window import Window

RELATIVE = 1e-9
"""How far sums may differ: each of some thousand merges rounds by about 1e-16, in an order that is not known."""

Key = tuple[str, int, str, datetime]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        windows: How many windows there are.
        periods: How many minutes, hours and days.
        missing: How many windows were reported as stored and are not there.
        problems: What is wrong, one sentence each.
    """

    windows: int
    periods: int
    missing: int
    problems: tuple[str, ...]


def check(url: URL, reported: Set[UUID]) -> Findings:
    """Read a whole history.

    Args:
        url: Of a database from which nothing was deleted.
        reported: Ids of windows that were reported as stored.
    """
    database = Database(url, timeout_s=60)
    try:
        upgrade(database)  # whoever made the tables may have been killed before
        with database.transaction(read_only=True) as connection:
            damage = _damage(connection)
            found = [_window(row) for row in connection.execute(select(windows))]
            kept = {_key(row): row for row in connection.execute(select(periods))}
    finally:
        database.close()
    missing = reported - {window.id for window in found}
    lost = [f"{len(missing)} windows that were reported as stored are missing"] if missing else []
    return Findings(len(found), len(kept), len(missing), (*damage, *lost, *_differences(_rolled_up(found), kept)))


def _damage(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []  # reading all of it is the test
    said = connection.execute(text("PRAGMA integrity_check")).scalars()
    return [f"integrity_check: {line}" for line in said if line != "ok"]


def _rolled_up(found: Sequence[Window]) -> dict[Key, Period]:
    together: dict[Key, Period] = {}
    for window in found:
        for resolution in LENGTH:
            period = Period.of(window, resolution)
            key = (window.model, window.version, resolution, period.since)
            together[key] = together[key].merge(period) if key in together else period
    return together


def _differences(expected: Mapping[Key, Period], kept: Mapping[Key, Row[Any]]) -> Iterator[str]:
    for key in sorted(expected.keys() | kept.keys()):
        name = f"{key[2]} {key[3].isoformat()} of {key[0]} {key[1]}"
        if key not in kept:
            yield f"{name} is not there"
        elif key not in expected:
            yield f"{name} has no window"
        elif not _same(expected[key], kept[key]):
            yield f"{name} is not what its windows are together"


def _same(expected: Period, kept: Row[Any]) -> bool:
    exact = ("first_row_at", "last_row_at", "rows", "rows_not_finite", "windows")
    pairs = list(zip(expected.layers, decode(kept.moments), strict=True))
    return (
        all(getattr(expected, name) == getattr(kept, name) for name in exact)
        and all(our.count == their.count for our, their in pairs)
        and all(np.allclose(our.mean, their.mean, RELATIVE, RELATIVE, equal_nan=True) for our, their in pairs)
        and all(np.allclose(our.m2, their.m2, RELATIVE, RELATIVE, equal_nan=True) for our, their in pairs)
    )


def _window(row: Row[Any]) -> Window:
    return Window(
        id=row.id,
        model=row.model,
        version=row.version,
        since=row.since,
        until=row.until,
        rows=row.rows,
        rows_not_finite=row.rows_not_finite,
        layers=decode(row.moments),
    )


def _key(row: Row[Any]) -> Key:
    return row.model, row.version, row.resolution, row.since
