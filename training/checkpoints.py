"""This module is where a fit keeps its checkpoints: the last two, each whole, and none that is damaged.

Lightning writes and reads through it (``CheckpointIO``). A full disk, or a folder that lost its permissions, ends no
fit: that the checkpoint can't be written is told, the one before stays, and the next is tried when it is due.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from training.events import Events
from training.state_files import HASH_DIGITS, newest_intact, read_state, state_files, write_state

KEPT = 2
_STEP = re.compile(rf"^step-(\d+)-[0-9a-f]{{{HASH_DIGITS}}}\.pt$")


class Checkpoints(CheckpointIO):
    """The checkpoints of one fit, in one folder; a checkpoint has its number of steps as ``step``."""

    def __init__(self, folder: Path, events: Events) -> None:
        self.folder = folder
        self.events = events
        self.last_step: int | None = None
        """Of the last checkpoint that was written or found."""

    def newest(self) -> Path | None:
        """The last checkpoint that is whole; those behind it, which are damaged, are told of and removed."""
        intact, damaged = newest_intact(state_files(self.folder, "step-*"))
        for path in damaged:
            self.events.tell("checkpoint-damaged", file=str(path), used=None if intact is None else str(intact))
            path.unlink(missing_ok=True)
        if intact is not None:
            self.last_step = _step_of(intact)
        return intact

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write a checkpoint into the folder, and remove all but the last two; ``path`` is not looked at."""
        del path, storage_options
        step = int(checkpoint["step"])
        try:
            written = write_state(self.folder, f"step-{step:012d}", checkpoint)
            for old in state_files(self.folder, "step-*")[:-KEPT]:
                old.unlink()
        except OSError as error:
            self.events.tell(
                "checkpoint-failed", step=step, file=f"{self.folder}/step-{step:012d}", reason=error.strerror
            )
        else:
            self.last_step = step
            self.events.tell("checkpoint", step=step, file=str(written))

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, always without running code that is in it.

        Raises:
            CheckpointError: If it can't be read, or is damaged.
        """
        del map_location, weights_only
        return read_state(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _step_of(path: Path) -> int:
    matched = _STEP.match(path.name)
    assert matched is not None
    return int(matched[1])
