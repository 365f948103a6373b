"""This module runs the cases of a command one after the other, each in a process of its own, and writes its section."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Generic, TypeVar

import torch
from pydantic import BaseModel

from benchmarks.folding.markdown import section
from benchmarks.folding.results import Environment, Line, Results

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Command(Generic[Record]):
    """What is measured, and what is said of it.

    Attributes:
        name: On the command line.
        title: Of its section.
        cases: Names of what is measured.
        measure: Measures a case for about so many seconds, or in so many rounds; a function of a module, so that
            another process finds it.
        record: What it returns.
        describe: A record in one line, for whoever waits.
        body: The text of the section.
        failures: What misses a bar, one sentence each.
        package: The benchmarks that it is one of.
        threads: Of every run of a network.
    """

    name: str
    title: str
    cases: Sequence[str]
    measure: Callable[[str, float], Record]
    record: type[Record]
    describe: Callable[[Record], str]
    body: Callable[[list[Record]], str]
    failures: Callable[[list[Record]], list[str]]
    package: str = "folding"
    threads: int = 1

    def run(self, results: Results, *, only: str, effort: float) -> list[str]:
        """Measure the cases that are not in the results and whose names contain ``only``.

        Args:
            results: What was measured before, and where to keep the rest.
            only: Part of the names of what is measured.
            effort: In what ``measure`` counts, seconds or rounds.

        Returns:
            Failures among those cases, one sentence each.
        """
        cases = [case for case in self.cases if only in case]
        broken = []
        for case in cases:
            if case in results.of(self.name):
                continue
            if case.startswith("timm/") and find_spec("timm") is None:
                _tell(f"{case}: left out, the package timm is not installed")
                continue
            try:
                record = run_apart(self.measure, case, effort, threads=self.threads)
            except Exception:  # noqa: BLE001  a case that can't be measured must not keep the others from it
                broken.append(f"{case}: {traceback.format_exc(limit=0).strip()}")
                _tell(broken[-1])
                traceback.print_exc()
                continue
            environment = Environment.current()
            results.add(Line(command=self.name, case=case, environment=environment, record=record.model_dump()))
            _tell(f"{case}: {self.describe(record)}")
        found = results.of(self.name)
        return broken + self.failures([self._read(found[case]) for case in cases if case in found])

    def section(self, results: Results) -> str:
        """What the results say, in Markdown; in the order of the cases."""
        found = results.of(self.name)
        lines = [found[case] for case in self.cases if case in found]
        command = f"python -m benchmarks.{self.package} {self.name}"
        body = self.body([self._read(line) for line in lines])
        return section(self.title, command, [line.environment for line in lines], body)

    def _read(self, line: Line) -> Record:
        return self.record.model_validate(line.record)


def run_apart(measure: Callable[[str, float], Record], case: str, effort: float, *, threads: int = 1) -> Record:
    """Measure in a new process, on so many threads: nothing is left in memory, nothing is shared but the machine."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_prepare, initargs=(threads,)) as pool:
        return pool.submit(measure, case, effort).result()


def _prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages that are not there


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
