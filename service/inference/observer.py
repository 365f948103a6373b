"""This module says what is told of a version that answers, to whoever counts."""

from __future__ import annotations

from typing import Protocol

from service.inference.job import Outcome, RunTimes


class RunObserver(Protocol):
    """Is told of runs; called on the event loop."""

    def ran(self, times: RunTimes) -> None:
        """A run succeeded."""

    def waits(self, requests: int) -> None:
        """So many requests wait behind a run now."""


class VersionObserver(RunObserver, Protocol):
    """Is told of requests too."""

    def answered(self, *, rows: int, seconds: float, outcome: Outcome) -> None:
        """A request was answered, so many seconds after its head was read."""

    def refused(self, *, status: int, seconds: float) -> None:
        """A request was answered with an error of this HTTP status."""
