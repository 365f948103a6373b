"""This module is the folder of one job, ``<runs>/<recipe's name>/``: what it is, how far it came, and what it said.

    job.json        the recipe as resolved, the hash of the data, what it runs on, whether it is done
    recipe.yaml     the recipe alone, as a file that ``bntrain fit`` takes
    checkpoints/    the last two checkpoints of the fit; what was fitted, when it is; gone when the job is done
    metrics.csv     the measures of every epoch
    tensorboard/    the same for TensorBoard, where that was asked for
    log.jsonl       every event, over all runs of the job
    lock            which process works here
    past/           the folders of jobs that are done, by the version that they published

A job is unfinished from ``begin`` until ``finish``, whatever happens to its processes. What no job has written is
neither moved nor removed.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import AwareDatetime, JsonValue, ValidationError

from models.durable import replace_file
from models.record import Record
from training.errors import JobError
from training.events import Events, Form
from training.job_lock import held_folder
from training.loggers import METRICS_FILE, TENSORBOARD
from training.recipe import Recipe
from training.state_files import State, newest_intact, read_state, state_files, write_state

JOB_FILE, RECIPE_FILE, LOG_FILE = "job.json", "recipe.yaml", "log.jsonl"
CHECKPOINTS, PAST = "checkpoints", "past"
KEPT = (RECIPE_FILE, LOG_FILE, METRICS_FILE, TENSORBOARD)
"""What there is to look at of a job that is done."""
FITTED = "fitted"
SHOWN_FIELDS = 5


class JobRecord(Record):
    """What ``job.json`` says.

    Attributes:
        recipe: Every field of it.
        data: The SHA-256 of the data.
        environment: What the numbers depend on beside these: versions, threads, the device.
        started: When it began, in its first run.
        published: The version that it ended with, if it is done.
    """

    recipe: dict[str, JsonValue]
    data: str
    environment: dict[str, JsonValue]
    started: AwareDatetime
    published: int | None = None


@contextlib.contextmanager
def open_job_folder(path: Path, form: Form) -> Iterator[JobFolder]:
    """The folder, which no other process works in meanwhile; what happens is told in a form on standard error too.

    Raises:
        JobHeld: If another process works there.
        JobError: If it can't be written to.
    """
    with held_folder(path):
        for stale in path.rglob(".*-" + "[0-9a-f]" * 32):  # files that a killed process had begun to write
            if PAST not in stale.relative_to(path).parts:
                stale.unlink(missing_ok=True)
        yield JobFolder(path, Events(form, log=path / LOG_FILE))


class JobFolder:
    """A folder that this process holds, or the one that started it does.

    Attributes:
        path: Where it is.
        events: What tells of the job.
        checkpoints: Where those of the fit are.
    """

    def __init__(self, path: Path, events: Events) -> None:
        self.path = path
        self.events = events
        self.checkpoints = path / CHECKPOINTS

    def begin(
        self, recipe: Recipe, *, data: str, environment: Mapping[str, JsonValue], restart: bool = False
    ) -> JobRecord:
        """Go on with the job that is unfinished here, or begin one.

        Args:
            recipe: What is to be fitted.
            data: The hash of the data.
            environment: What the numbers depend on beside these.
            restart: Whether an unfinished job is thrown away.

        Raises:
            JobError: If what is unfinished here is a job of another recipe or other data, or can't be read.
        """
        found = self._read(or_none=restart)
        if found is not None and found.published is None and not restart:
            self._refuse_another(found, recipe, data)
            changed = [name for name in environment if environment[name] != found.environment.get(name)]
            if changed:
                self.events.tell("environment-changed", **{name: _change(found, environment, name) for name in changed})
            return found
        record = JobRecord(
            recipe=recipe.model_dump(mode="json"), data=data, environment=dict(environment), started=datetime.now(UTC)
        )
        try:
            self._clear(found)
            replace_file(self.path / RECIPE_FILE, yaml.safe_dump(record.recipe, sort_keys=False).encode())
            self._write(record)
        except OSError as error:
            raise JobError(f"{self.path}: expected a folder that can be written to: {error.strerror}") from error
        return record

    def keep_fitted(self, state: State) -> None:
        """Keep what was fitted, so that nothing that happens from now on makes it be fitted again."""
        try:
            write_state(self.checkpoints, FITTED, state)
        except OSError as error:
            self.events.tell("checkpoint-failed", file=str(self.checkpoints / FITTED), reason=error.strerror)

    def fitted(self) -> State | None:
        """What was fitted, if the job came that far; a file that is damaged is told of and removed."""
        intact, damaged = newest_intact(state_files(self.checkpoints, FITTED))
        for path in damaged:
            self.events.tell("checkpoint-damaged", file=str(path), used=None)
            path.unlink(missing_ok=True)
        return None if intact is None else read_state(intact)

    def finish(self, record: JobRecord, version: int) -> None:
        """The job is done, and published as a version: the next one here begins anew."""
        try:
            self._write(record.model_copy(update={"published": version}))
            self._remove_checkpoints()
        except OSError as error:  # what is published stays published; the same command finds it there
            self.events.tell("folder-unwritable", file=str(self.path / JOB_FILE), reason=error.strerror)

    def _read(self, *, or_none: bool) -> JobRecord | None:
        path = self.path / JOB_FILE
        try:
            return JobRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            if or_none:
                return None
            raise JobError(
                f"{path}: expected what this version writes of a job, it can't be read; --restart throws the job away"
            ) from error

    def _write(self, record: JobRecord) -> None:
        replace_file(self.path / JOB_FILE, record.model_dump_json(indent=2).encode() + b"\n")

    def _refuse_another(self, found: JobRecord, recipe: Recipe, data: str) -> None:
        asked = recipe.model_dump(mode="json")
        try:
            there: dict[str, JsonValue] = Recipe.model_validate(found.recipe).model_dump(mode="json")
        except ValidationError:  # written when recipes had other fields
            there = found.recipe
        changes = [
            f"{name} {there.get(name)!r} there, {asked.get(name)!r} asked for"
            for name in dict.fromkeys([*there, *asked])
            if there.get(name) != asked.get(name)
        ]
        if found.data != data:
            changes.append(f"the data itself, SHA-256 {found.data[:12]} there, {data[:12]} now")
        if changes:
            shown = "; ".join(changes[:SHOWN_FIELDS]) + (" and others" if len(changes) > SHOWN_FIELDS else "")
            raise JobError(
                f"{self.path}: an unfinished job is there that differs: {shown}. The same recipe continues it, "
                "--restart throws it away, --runs names another folder"
            )

    def _clear(self, found: JobRecord | None) -> None:
        """Put a job that is done aside, or remove one that is not; what is in a folder without a job stays."""
        self._remove_checkpoints()
        if not (self.path / JOB_FILE).exists():
            return
        entries = [entry for name in KEPT if (entry := self.path / name).exists()]
        entries.append(self.path / JOB_FILE)  # last: until then this is still to be done
        if found is None or found.published is None:
            for entry in entries:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            return
        folder = self.path / PAST / f"version-{found.published}-{found.started:%Y%m%dT%H%M%S%f}"
        folder.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            entry.rename(folder / entry.name)

    def _remove_checkpoints(self) -> None:
        for path in state_files(self.checkpoints, "*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is none, or something else is in it
            self.checkpoints.rmdir()


def _change(found: JobRecord, environment: Mapping[str, JsonValue], name: str) -> str:
    return f"{found.environment.get(name)} before, {environment[name]} now"
