"""This module keeps what was measured, one line of JSON a measurement, each with the run that it is of."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.folding.results import Environment

PACKAGES = ("onnxruntime", "numpy", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson")
MEMORY = Path("/proc/meminfo")


class Run(BaseModel):
    """One run of a command.

    Attributes:
        command: Its name.
        started: When, UTC.
        line: The command line.
        machine: Where.
        kernel: Of its operating system.
        memory_gib: Of the machine.
        threads: Of every run of a network.
    """

    model_config = ConfigDict(frozen=True)

    command: str
    started: str
    line: str
    machine: Environment
    kernel: str
    memory_gib: float
    threads: int

    @classmethod
    def now(cls, command: str, arguments: Sequence[str], *, threads: int) -> Run:
        """A run that starts now, here."""
        machine = Environment.current().model_copy(
            update={"packages": {package: version(package) for package in PACKAGES}}
        )
        return cls(
            command=command,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            line=" ".join(["python -m benchmarks.serving", *arguments]),
            machine=machine,
            kernel=f"{platform.system()} {platform.release()}",
            memory_gib=_memory_gib(),
            threads=threads,
        )


class Measurement(BaseModel):
    """What one contender did in one case, in one round of a run.

    Attributes:
        run: Of which run.
        case: What was asked of it: ``cnn json closed 16``.
        contender: Who.
        setup: What that is, in one line.
        round: Which.
        figures: What was measured, by name with its unit.
    """

    model_config = ConfigDict(frozen=True)

    run: Run
    case: str
    contender: str
    setup: str
    round: int
    figures: dict[str, float]


class Results:
    """Measurements, in a file to which lines are only ever added.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._measurements = [Measurement.model_validate_json(line) for line in lines]

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement."""
        self._measurements.append(measurement)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(measurement.model_dump_json() + "\n")

    def last(self, command: str) -> Comparison | None:
        """What the last run of a command measured; None if there is none."""
        found = [measurement for measurement in self._measurements if measurement.run.command == command]
        return Comparison([m for m in found if m.run == found[-1].run]) if found else None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one contender in one case; it has a value in every round."""

    case: str
    contender: str
    name: str


class Comparison:
    """The measurements of one run. Figures of one round are compared; the median over the rounds is told.

    Args:
        measurements: At least one.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self.run = measurements[0].run
        self.cases = list(dict.fromkeys(m.case for m in measurements))
        self.num_rounds = len({m.round for m in measurements})
        self.setups = {m.contender: m.setup for m in measurements}
        self._measurements = measurements

    def contenders(self, case: str) -> list[str]:
        """Who was measured in a case, in the order of the first round."""
        return list(dict.fromkeys(m.contender for m in self._measurements if m.case == case))

    def median(self, figure: Figure) -> float:
        """A figure's median."""
        return statistics.median(self._values(figure).values())

    def ratio(self, figure: Figure, over: Figure) -> float:
        """The median of one figure over another."""
        return statistics.median(self.ratios(figure, over))

    def ratios(self, figure: Figure, over: Figure) -> list[float]:
        """One figure over another, in every round."""
        values, others = self._values(figure), self._values(over)
        return [value / others[number] for number, value in values.items()]

    def ratios_by_start(self, figure: Figure, over: Figure, rounds: int) -> list[float]:
        """The median of one figure over another in the rounds of each start, of which there are so many to a start."""
        values, others = self._values(figure), self._values(over)
        starts = sorted({number // rounds for number in values})
        return [
            statistics.median(value / others[number] for number, value in values.items() if number // rounds == start)
            for start in starts
        ]

    def difference(self, figure: Figure, less: Figure) -> float:
        """The median of one figure less another."""
        values, others = self._values(figure), self._values(less)
        return statistics.median(value - others[number] for number, value in values.items())

    def _values(self, figure: Figure) -> dict[int, float]:
        return {
            m.round: m.figures[figure.name]
            for m in self._measurements
            if (m.case, m.contender) == (figure.case, figure.contender)
        }


def _memory_gib() -> float:
    kilobytes = next((line.split()[1] for line in MEMORY.read_text().splitlines() if line.startswith("MemTotal")), "0")
    return round(int(kilobytes) / 2**20, 1)
