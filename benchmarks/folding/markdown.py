"""This module writes sections and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.folding.results import Environment


def section(title: str, command: str, environments: Iterable[Environment], body: str) -> str:
    """A section, which begins with how it was made, when, and with what."""
    made = "\n".join(f"- {line}" for line in dict.fromkeys(map(_describe, environments)))
    return f"## {title}\n\n    {command}\n\n{made}\n\n{body.strip()}\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every column but the first is aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _describe(environment: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    machine = f"{environment.cpus} CPUs ({environment.processor})"
    return f"{environment.date}, {machine}, Python {environment.python}, {packages}"
