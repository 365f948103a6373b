"""This module runs ``bntrain fit`` as a process that is watched by its events, and killed at some moment."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.training import victim

DEADLINE_S = 600
BEGUN = ("started", "resumed")
BEGINNINGS = {"checkpoint": ".step-*", "publishing": ".publishing-*"}
"""What a file or folder is called while it is being written, by what it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one job is kept, and where it publishes."""

    root: Path
    name: str

    @property
    def runs(self) -> Path:
        """The folder of jobs."""
        return self.root / "runs"

    @property
    def store(self) -> Path:
        """The store."""
        return self.root / "store"

    @property
    def job(self) -> Path:
        """The job's folder."""
        return self.runs / self.name

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints are."""
        return self.job / "checkpoints"

    def events(self) -> list[str]:
        """The names of all events so far, over all runs."""
        log = self.job / "log.jsonl"
        return [json.loads(line)["event"] for line in log.read_text().splitlines()] if log.exists() else []

    def begun(self, what: str) -> list[Path]:
        """What was being written, and is not whole."""
        folder = self.checkpoints if what == "checkpoint" else self.store / self.name
        return list(folder.glob(BEGINNINGS[what]))


@dataclass(frozen=True, slots=True)
class Moment:
    """When a process is killed.

    Attributes:
        after: What is waited for first: ``exec``, ``step`` (the fit has begun, or goes on), ``checkpoint`` (one is
            being written), ``verified``, ``publishing`` (a version is being written).
        seconds: How long after that.
        number: The signal.
    """

    after: str
    seconds: float
    number: signal.Signals


def run(place: Place, arguments: Sequence[str], moment: Moment | None = None) -> int:
    """Run the job in a process of its own, and send it a signal at a moment unless it ends before; how it exited.

    Raises:
        TimeoutError: If it does not come to that moment, or does not end.
    """
    known = len(place.events())
    place.root.mkdir(parents=True, exist_ok=True)
    words = ["fit", *arguments, "--runs", str(place.runs), "--store", str(place.store), "--progress", "json"]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([victim.__name__])
    process = processes.Process(target=victim.run, args=(words, place.root / "output"))
    process.start()
    try:
        if moment is not None:
            assert process.pid is not None
            _wait_for(place, process, moment.after, known)
            process.join(moment.seconds)
            if process.is_alive():
                os.kill(process.pid, moment.number)
        process.join(DEADLINE_S)
        if process.exitcode is None:
            raise TimeoutError(f"{place.job}: expected the process to end within {DEADLINE_S} s")
        return process.exitcode
    finally:
        process.kill()
        process.join()


def _wait_for(place: Place, process: BaseProcess, what: str, known: int) -> None:
    """Wait until it is so, or the process has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while process.is_alive() and not _is_so(place, what, known):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{place.job}: no {what} within {DEADLINE_S} s")
        time.sleep(0.0005 if what in BEGINNINGS else 0.005)  # what is being written is there for milliseconds


def _is_so(place: Place, what: str, known: int) -> bool:
    if what == "exec":
        return True
    if what in BEGINNINGS:
        return bool(place.begun(what))
    new = place.events()[known:]
    return what in new or (what == "step" and any(event in new for event in BEGUN))
