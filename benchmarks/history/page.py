"""This module writes the page of the kill study."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.history.kill import Result

_TITLE = """# History, killed

Made on {date} with {machine}, by

    {command}

Writers of the history and its database were killed at random moments. After each round the whole history was read:
every window that had been reported as stored must be there, every minute, hour and day must be what its windows are
together, and SQLite's `integrity_check` must have nothing to say. Where the database was taken away the writer went
on and ended in order; all that it recorded must be stored. SQLite has no server to kill: there, a process that holds
the lock of the file is killed in the middle of a change, after longer than the writer waits. How windows are stored is
told in [history](history.md).

"""

_ROWS = (
    ("rounds", lambda result: result.rounds),
    ("windows reported as stored", lambda result: result.reported),
    ("of these missing", lambda result: result.missing),
    ("windows found", lambda result: result.found),
    ("minutes, hours and days compared", lambda result: result.periods),
    ("windows recorded by writers whose database was taken away", lambda result: result.recorded_through),
    ("of these stored", lambda result: result.stored_through),
    ("problems", lambda result: len(result.problems)),
)


def page(command: str, results: Sequence[Result]) -> str:
    """The page, in Markdown.

    Args:
        command: By which it is made.
        results: By database.
    """
    lines = [
        "| | " + " | ".join(result.database for result in results) + " |",
        "|---|" + "---:|" * len(results),
        *(f"| {name} | " + " | ".join(f"{value(result):,}" for result in results) + " |" for name, value in _ROWS),
        "",
        *(f"- {result.database}: {_kills(result)}." for result in results),
        *(f"- **{result.database}, {problem}**" for result in results for problem in result.problems),
    ]
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return _TITLE.format(command=command, date=date, machine=_machine()) + "\n".join(lines) + "\n"


def _kills(result: Result) -> str:
    return ", ".join(f"{kind} {times} times" for kind, times in sorted(result.kills.items()))


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg"))
    return f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}, {libraries}"
