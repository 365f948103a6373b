"""This module is what the tests of the history need: windows, recorders in a hurry, and ways to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import URL

from models.moments import Moments
from service.history.backoff import Backoff
from service.history.period import Period, Resolution
from service.history.reader import Reader
from service.history.recorder import Recorder
from service.history.recorder_options import RecorderOptions
from service.history.retention import Retention
from service.history.window import Window

DEADLINE_S = 40
"""How long anything may take before a test gives up on it."""

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
"""Of yesterday, in UTC."""

HURRIED = RecorderOptions(backoff=Backoff(first_s=0.02, most_s=0.1), timeout_s=1)


def window(until: datetime = NOON, **changes: Any) -> Window:  # noqa: ANN401  fields of a window
    """A window of two rows and one layer of two channels, of which the second can't be observed."""
    made = Window(
        id=uuid4(),
        model="tiny",
        version=1,
        since=until - timedelta(seconds=5),
        until=until,
        rows=2,
        rows_not_finite=1,
        layers=(Moments(2, np.array([1.5, np.nan]), np.array([0.5, np.nan])),),
    )
    return replace(made, **changes)


def kept_for_ever() -> RecorderOptions:
    """A hurried recorder that deletes nothing of the last weeks."""
    age = timedelta(days=365)
    return replace(HURRIED, retention=Retention(age, age, age, age))


class Told:
    """Hears which windows are stored."""

    def __init__(self) -> None:
        self.identities: list[UUID] = []
        self._changed = threading.Condition()

    def __call__(self, identities: Sequence[UUID]) -> None:
        """Called by a recorder."""
        with self._changed:
            self.identities += identities
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many were stored."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.identities) >= count, DEADLINE_S)


def record(url: URL, *windows: Window) -> None:
    """Store windows through a recorder of their own."""
    told = Told()
    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        for one in windows:
            recorder.record(one)
        told.wait_for(len({one.id for one in windows}))


def read(url: URL, resolution: Resolution | Literal["auto"], **changes: Any) -> list[Period]:  # noqa: ANN401  arguments of read
    """All of the model ``tiny`` about noon, within two days."""
    question: dict[str, Any] = {
        "model": "tiny",
        "version": None,
        "since": NOON - timedelta(days=2),
        "until": NOON + timedelta(days=2),
        "resolution": resolution,
        "limit": 1000,
    }
    reader = Reader(url)
    try:
        return reader.read(**(question | changes))
    finally:
        reader.close()


def until_true(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    never = threading.Event()
    for _ in range(DEADLINE_S * 100):
        if condition():
            return
        never.wait(0.01)
    raise AssertionError(f"it did not come about within {DEADLINE_S} s")
