"""This module writes the page of the kill study."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.history.kill import Result
from benchmarks.kill_table import kill_page

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
    by_subject = {result.database: result for result in results}
    return kill_page(_TITLE, command, _ROWS, by_subject, libraries=("sqlalchemy", "psycopg"))
