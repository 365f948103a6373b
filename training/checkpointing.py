"""This module lets a fit be killed at any step, and go on with the same numbers.

A checkpoint is all that the next step depends on: weights, buffers, optimizer, schedule, gradient scaler, callbacks and
counters, as Lightning collects them, and the states of all random numbers. Which rows come next, and how they are
augmented, follows from the number of steps alone (``training/data/batches.py``).

It is written after a step in the midst of an epoch, or after the validation at an epoch's end; never between the two.
There is none of a finished fit: what comes after it is kept by whoever asked for the fit.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from training.checkpoints import Checkpoints
from training.data.batches import ShuffledBatches
from training.interruption import Interrupted, Interruption
from training.processes import rank
from training.progress import steps_done
from training.random_state import RandomState, read_random_state, set_random_state

SHARE_OF_TIME = 0.05
"""Of the fit, that writing checkpoints at the ends of epochs may take: where an epoch takes less than twenty times as
long as a checkpoint, not every one has its own."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a fit is kept.

    Attributes:
        checkpoints: Where its checkpoints are.
        every_s: How many seconds may pass without one.
        interruption: What may ask it to leave.
    """

    checkpoints: Checkpoints
    every_s: float
    interruption: Interruption


class Checkpointing(Checkpoint):
    """Writes checkpoints, goes on from one, and leaves when asked to. Lightning calls it after all other callbacks."""

    def __init__(self, keeping: Keeping, batches: ShuffledBatches) -> None:
        self.keeping = keeping
        self.batches = batches
        self._random: RandomState | None = None
        self._written = time.monotonic()
        self._took = 0.0

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what Lightning does not know of."""
        del pl_module
        checkpoint["step"] = steps_done(trainer)
        checkpoint["random"] = read_random_state()

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the batch that is next; the random states wait until all else is in its place."""
        del trainer, pl_module
        self.batches.seek(checkpoint["step"])
        self._random = checkpoint["random"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin the first step of this run where the last one left off."""
        del pl_module
        self.keeping.interruption.listen()  # Lightning took SIGTERM for itself
        self._written = time.monotonic()
        if rank() != 0:
            # what it drops is no copy of what another one drops
            torch.manual_seed(hash((self.batches.seed, rank(), steps_done(trainer))))
        elif self._random is not None:
            set_random_state(self._random)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *step: object
    ) -> None:
        """In the midst of an epoch: write a checkpoint if it is time, and leave if asked to."""
        del pl_module, step
        if trainer.is_last_batch:
            return
        leaves = self._leaves(trainer)
        if leaves or self._is_due(trainer, self.keeping.every_s):
            self._save(trainer)
        if leaves:
            self._leave()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """After the validation: write a checkpoint, unless the last one was written just now, or the fit is done."""
        del pl_module
        if trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            return
        if self._leaves(trainer) or self._is_due(trainer, min(self.keeping.every_s, self._took / SHARE_OF_TIME)):
            self._save(trainer)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Before the next epoch, when the loggers have what the last one gave: leave if asked to."""
        del pl_module
        if self._leaves(trainer) and self.keeping.checkpoints.last_step == steps_done(trainer):
            self._leave()

    def _leaves(self, trainer: lightning.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.keeping.interruption.received is not None, all=False)

    def _leave(self) -> None:
        raise Interrupted(self.keeping.interruption.received or signal.SIGTERM)  # or another process was asked to

    def _is_due(self, trainer: lightning.Trainer, after_s: float) -> bool:
        is_due = time.monotonic() - self._written >= after_s
        return trainer.strategy.reduce_boolean_decision(is_due, all=False)

    def _save(self, trainer: lightning.Trainer) -> None:
        began = time.monotonic()
        checkpoints = self.keeping.checkpoints
        trainer.save_checkpoint(checkpoints.folder)
        checkpoints.last_step = trainer.strategy.broadcast(checkpoints.last_step)  # one of the processes writes it
        self._written = time.monotonic()
        is_kept = checkpoints.last_step == steps_done(trainer)
        self._took = self._written - began if is_kept else self.keeping.every_s * SHARE_OF_TIME  # no sooner than that
