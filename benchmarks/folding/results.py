"""This module keeps what was measured, one line of JSON a case, and in which environment."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "timm")


class Environment(BaseModel):
    """What a case was measured in."""

    model_config = ConfigDict(frozen=True)

    date: str
    python: str
    packages: dict[str, str]
    cpus: int
    processor: str

    @classmethod
    def current(cls) -> Environment:
        """This one."""
        return cls(
            date=datetime.now(UTC).date().isoformat(),
            python=platform.python_version(),
            packages={package: installed for package in PACKAGES if (installed := _version(package))},
            cpus=len(os.sched_getaffinity(0)),
            processor=_processor(),
        )


class Line(BaseModel):
    """One case: ``record`` is what the command that measured it makes of it."""

    model_config = ConfigDict(frozen=True)

    command: str
    case: str
    environment: Environment
    record: dict[str, Any]


class Results:
    """The cases measured so far, in a file if there is one; lines are only ever added.

    Args:
        path: Where they are kept; None to forget them at the end.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        text = path.read_text() if path is not None and path.exists() else ""
        self._lines = [Line.model_validate_json(line) for line in text.splitlines()]

    def of(self, command: str) -> dict[str, Line]:
        """By case, what a command has measured."""
        return {line.case: line for line in self._lines if line.command == command}

    def add(self, line: Line) -> None:
        """Keep a case."""
        self._lines.append(line)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(line.model_dump_json() + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
