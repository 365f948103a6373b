"""This module writes what came of kills: a table with a column a subject, how each was killed, and every problem."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Protocol, TypeVar


class Killed(Protocol):
    """What a study of kills found of one subject."""

    @property
    def kills(self) -> Counter[str]:
        """How often, by kind."""

    @property
    def problems(self) -> Sequence[str]:
        """What did not hold."""


Result = TypeVar("Result", bound=Killed)


def kill_page(
    title: str,
    command: str,
    rows: Sequence[tuple[str, Callable[[Result], int]]],
    results: Mapping[str, Result],
    *,
    libraries: Sequence[str],
) -> str:
    """The page, in Markdown.

    Args:
        title: What stands above the table, with places for ``date``, ``machine`` and ``command``.
        command: By which it is made.
        rows: What is counted, and how.
        results: By subject.
        libraries: Those whose versions matter.
    """
    lines = [
        "| | " + " | ".join(results) + " |",
        "|---|" + "---:|" * len(results),
        *(
            f"| {name} | " + " | ".join(f"{value(result):,}" for result in results.values()) + " |"
            for name, value in rows
        ),
        "",
        *(f"- {subject}: {_kills(result)}." for subject, result in results.items()),
        *(f"- **{subject}, {problem}**" for subject, result in results.items() for problem in result.problems),
    ]
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return title.format(command=command, date=date, machine=_machine(libraries)) + "\n".join(lines) + "\n"


def _kills(result: Killed) -> str:
    return ", ".join(f"{kind} {times} times" for kind, times in sorted(result.kills.items()))


def _machine(libraries: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}, {versions}"
