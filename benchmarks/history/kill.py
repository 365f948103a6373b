"""This module kills writers of a history and its database at random moments, and checks after each what is left.

In turn: two writers are killed while they write to one database; or the database is taken away while one writes, which
ends in order afterwards and then must have stored all that it recorded. Every fifth round begins with an empty
database, so that some kills meet the making of its tables.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sqlalchemy import URL

from benchmarks.history.check import check
from benchmarks.history.places import Place, open_place

ROUNDS_A_DATABASE = 5
DEADLINE_S = 60

Writer = subprocess.Popen[str]


@dataclass(slots=True)
class Result:
    """What came of the rounds on one kind of database.

    Attributes:
        database: Its name and version.
        rounds: How many.
        kills: How often what was done.
        recorded_through: Windows that were recorded by writers whose database was taken away.
        stored_through: How many of them were stored in the end; all have to be.
        reported: Windows that were reported as stored.
        found: Windows that were there.
        missing: Windows that were reported and not there.
        periods: Minutes, hours and days that were compared with their windows.
        problems: What was wrong, one sentence each.
    """

    database: str
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    recorded_through: int = 0
    stored_through: int = 0
    reported: int = 0
    found: int = 0
    missing: int = 0
    periods: int = 0
    problems: list[str] = field(default_factory=list)


def kill(database: str, rounds: int, tell: Callable[[str], None], *, quick: bool = False) -> Result:
    """Kill so many times.

    Args:
        database: ``sqlite`` or ``postgresql``.
        rounds: How many times.
        tell: Told of each round.
        quick: Whether to kill sooner, and to let a server not wait for its disk.
    """
    pace = 0.3 if quick else 1.0
    with open_place(database, fsync=not quick) as place, tempfile.TemporaryDirectory() as folder:
        result = Result(place.software)
        for number in range(rounds):
            if number % ROUNDS_A_DATABASE == 0:
                url = place.new()
                told = Path(folder) / f"told-{number}"
            problems = (
                _kill_writers(url, told, result, pace) if number % 2 == 0 else _take(place, url, told, result, pace)
            )
            reported = _reported(told)
            findings = check(url, reported)
            problems += findings.problems
            result.rounds += 1
            result.missing += findings.missing
            result.problems += [f"round {number + 1}: {problem}" for problem in problems]
            if number % ROUNDS_A_DATABASE == ROUNDS_A_DATABASE - 1 or number == rounds - 1:
                result.reported += len(reported)
                result.found += findings.windows
                result.periods += findings.periods
            outcome = "; ".join(problems) or f"{findings.windows} windows, {findings.periods} periods, all well"
            tell(f"{result.database}, round {number + 1}: {outcome}")
    return result


def _kill_writers(url: URL, told: Path, result: Result, pace: float) -> list[str]:
    with _writers(url, told, 2) as writers:
        for writer in writers:
            time.sleep(pace * random.uniform(0, 1.5))  # noqa: S311  the moment of a kill
            writer.kill()
    result.kills["two writers were killed"] += 1
    return []


def _take(place: Place, url: URL, told: Path, result: Result, pace: float) -> list[str]:
    with _writers(url, told, 1) as (writer,):
        time.sleep(pace * random.uniform(0.2, 1.5))  # noqa: S311
        result.kills[place.take_away(url, pace)] += 1
        writer.terminate()
        output, _ = writer.communicate(timeout=DEADLINE_S)
    status = json.loads(output.splitlines()[-1])
    result.recorded_through += status["recorded"]
    result.stored_through += status["stored"]
    if status["recorded"] == status["stored"]:
        return []
    return [f"of {status['recorded']} windows {status['stored']} were stored, {status['dropped']} dropped"]


@contextlib.contextmanager
def _writers(url: URL, told: Path, count: int) -> Iterator[list[Writer]]:
    """Writers that have begun; none outlives the block."""
    text = url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "benchmarks.history.writer", text, str(told)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]  # noqa: S603
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        yield writers
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def _reported(told: Path) -> set[UUID]:
    return {UUID(line) for line in told.read_text().splitlines()} if told.exists() else set()
