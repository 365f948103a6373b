"""This module lets worker processes show their figures to one another, so that any of them can answer for all.

Each keeps a file of its own in a folder that they share. What is told to anyone is what the files hold, and a file's
counts only ever grow, so that no counter goes back when another worker answers the next time. A worker that has ended
leaves its file: what it did was done.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from service.figures import VersionFigures

Figures = Mapping[tuple[str, str], VersionFigures]
"""Figures by model and version."""

_FILE = TypeAdapter(list[tuple[str, str, VersionFigures]])
_PREFIX = "figures-"


class SharedFigures:
    """The files of all workers, one of them of this process.

    Args:
        folder: Exists, and belongs to these workers alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"{_PREFIX}{os.getpid()}.json"

    def show(self, figures: Figures) -> None:
        """Let the others see this process's figures."""
        text = _FILE.dump_json([(model, version, counted) for (model, version), counted in figures.items()])
        temporary = self._own.with_suffix(".new")
        temporary.write_bytes(text)
        temporary.replace(self._own)

    def total(self) -> dict[tuple[str, str], VersionFigures]:
        """What all workers did together, as far as they have shown it."""
        total: dict[tuple[str, str], VersionFigures] = {}
        for path in sorted(self._folder.glob(f"{_PREFIX}*.json")):
            alive = Path(f"/proc/{path.stem.removeprefix(_PREFIX)}").exists()
            for model, version, counted in _FILE.validate_json(path.read_bytes()):
                now = counted if alive else replace(counted, waiting=0)
                total.setdefault((model, version), VersionFigures()).add(now)
        return total
