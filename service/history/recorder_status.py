"""This module says how a recorder does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How a recorder does; numbers count from its start.

    Attributes:
        url: Of the database, without password.
        connected: Whether the last thing that was asked of the database was answered.
        problem: What is wrong with it, in one sentence; None if nothing is.
        buffered: Windows that wait.
        stored: Windows that were committed.
        dropped: Windows that will never be: no room, refused by the database, or left when the recorder was closed.
        last_stored: When windows were committed last.
    """

    url: str
    connected: bool = False
    problem: str | None = None
    buffered: int = 0
    stored: int = 0
    dropped: int = 0
    last_stored: datetime | None = None
