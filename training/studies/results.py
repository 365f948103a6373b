"""This module is what a study measured: an outcome a condition, kept as JSON lines, of which its page is made."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import torch
from pydantic import BaseModel, ConfigDict

from folding.errors import one_line
from training.errors import StudyError

Value: TypeAlias = bool | float | str
"""What tells a condition from the others: ``normalized``, ``learning_rate``, ``nonlinearity``."""


class Run(BaseModel):
    """How the outcomes came about.

    Attributes:
        study: Its name.
        command: What was typed; a folder of data is called FOLDER.
        data: What the data is called.
        train_rows: How many rows there were to fit to.
        test_rows: How many rows the accuracies are of.
        steps: Of each fit.
        seeds: How many; they are 0, 1, 2, ...
        date: The day, in UTC.
        machine: Processor, threads and versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    command: str
    data: str
    train_rows: int
    test_rows: int
    steps: int
    seeds: int
    date: str
    machine: str


class Outcome(BaseModel):
    """What one condition gave with one seed: mostly a fit; or one of several ways to use the same fit, or none at all.

    Attributes:
        condition: What was different from other outcomes of the study, by name.
        seed: Of everything random.
        figures: Single numbers by name; NaN where there is none.
        series: Numbers along something (steps, layers) by name.
        cpu_seconds: Of the process since the outcome before, whose fit it may share; a study leaves them out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    condition: dict[str, Value]
    seed: int
    figures: dict[str, float] = {}
    series: dict[str, list[float]] = {}
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Results:
    """A run and all its outcomes, in the order of measuring."""

    run: Run
    outcomes: tuple[Outcome, ...]

    def where(self, **condition: Value) -> list[Outcome]:
        """The outcomes whose condition has these values, ``where(normalized=True, learning_rate=0.1)``."""
        return [o for o in self.outcomes if all(o.condition.get(name) == value for name, value in condition.items())]

    def figures(self, name: str, **condition: Value) -> list[float]:
        """One figure of each of these outcomes, mostly one a seed."""
        return [outcome.figures[name] for outcome in self.where(**condition)]

    def series(self, name: str, **condition: Value) -> list[list[float]]:
        """One series of each of these outcomes."""
        return [outcome.series[name] for outcome in self.where(**condition)]

    def values(self, name: str) -> list[Value]:
        """Every value that this part of a condition has, each once."""
        return list(dict.fromkeys(o.condition[name] for o in self.outcomes if name in o.condition))

    @property
    def cpu_seconds(self) -> float:
        """Of all outcomes together."""
        return sum(outcome.cpu_seconds for outcome in self.outcomes)


def write_results(path: Path, run: Run, outcomes: Iterable[Outcome]) -> Results:
    """Write the run, then each outcome as it comes, a line each; NaN and infinity are the bare literals.

    What is there already is replaced at the end, so that a run that is broken off leaves it.
    """
    unfinished, kept = path.with_suffix(".unfinished"), []
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished.open("w") as lines:
        lines.write(run.model_dump_json() + "\n")
        for outcome in outcomes:
            lines.write(outcome.model_dump_json() + "\n")
            lines.flush()
            kept.append(outcome)
    unfinished.replace(path)
    return Results(run, tuple(kept))


def read_results(path: Path) -> Results:
    """Read what ``write_results`` wrote.

    Raises:
        StudyError: If there is no such file, or a line is not what is expected there.
    """
    try:
        first, *others = path.read_text().splitlines()
        return Results(Run.model_validate_json(first), tuple(Outcome.model_validate_json(line) for line in others))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: expected the results of a study, a JSON object a line: {one_line(error)}") from error


def rounded(values: Iterable[float], digits: int = 4) -> list[float]:
    """So many significant digits, as many as a plot can show: committed results stay small."""
    return [float(f"{value:.{digits}g}") for value in values]


def today() -> str:
    """The day in UTC, as results state it."""
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    """The processor as the system calls it, the threads that are used, and what computes."""
    try:
        with Path("/proc/cpuinfo").open() as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.machine()
    return (
        f"{torch.get_num_threads()} thread of {os.cpu_count()} CPUs ({name}), "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
