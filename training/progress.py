"""This module shows how a fit goes on: a bar on a terminal, and an event at the end of every epoch."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TextIO, cast

import lightning
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from pydantic import JsonValue

from training.events import Events


def progress_callbacks(events: Events, *, batch_rows: int, steps: int) -> list[Callback]:
    """What tells of a fit of so many steps."""
    told = EpochEvents(events, batch_rows=batch_rows, steps=steps)
    return [told, StandardErrorBar()] if events.form == "bar" else [told]


class StandardErrorBar(TQDMProgressBar):
    """Lightning's bar, where events are told: it takes what is standard output at that moment."""

    def init_train_tqdm(self) -> Tqdm:
        """The bar of an epoch."""
        with contextlib.redirect_stdout(cast("TextIO", _StandardError())):
            return super().init_train_tqdm()

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of its validation."""
        with contextlib.redirect_stdout(cast("TextIO", _StandardError())):
            return super().init_validation_tqdm()


class _StandardError:
    """Standard error, as it is then; that it can't be written to ends no fit."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)


class EpochEvents(Callback):
    """Tells the end of every epoch: its losses and measures, the learning rate, rows a second, seconds to go."""

    def __init__(self, events: Events, *, batch_rows: int, steps: int) -> None:
        self.events = events
        self.batch_rows = batch_rows
        self.steps = steps
        self._told = (0, 0.0)  # the step and the moment of the last event

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to count, wherever the fit goes on from."""
        del pl_module
        self._told = (steps_done(trainer), time.monotonic())

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tell it."""
        del pl_module
        step, now = steps_done(trainer), time.monotonic()
        steps_per_s = (step - self._told[0]) / max(now - self._told[1], 1e-9)
        self._told = (step, now)
        if not trainer.is_global_zero:
            return
        measured: dict[str, JsonValue] = {
            name: float(f"{value:.6g}") for name, value in sorted(trainer.callback_metrics.items())
        }
        self.events.tell(
            "epoch",
            epoch=trainer.current_epoch + 1,
            epochs=trainer.max_epochs,
            step=step,
            steps=self.steps,
            **measured,
            rows_per_s=round(steps_per_s * self.batch_rows, 1),
            eta_s=round((self.steps - step) / steps_per_s, 1) if steps_per_s else None,
        )


def steps_done(trainer: lightning.Trainer) -> int:
    """Batches that the network was fitted to, over all epochs, the one that was just done included."""
    return trainer.fit_loop.total_batch_idx + 1
