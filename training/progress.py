"""This module shows how a fit goes on: a bar on a terminal, elsewhere one line an epoch."""

from __future__ import annotations

import sys

import lightning
from lightning.pytorch.callbacks import Callback, TQDMProgressBar


def make_progress() -> Callback:
    """What shows the progress of a fit where this process writes to."""
    return TQDMProgressBar() if sys.stderr.isatty() else PlainProgress()


class PlainProgress(Callback):
    """One line an epoch, for logs that no one watches."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the line to stderr."""
        del pl_module
        metrics = "  ".join(f"{name} {float(value):.4f}" for name, value in sorted(trainer.callback_metrics.items()))
        sys.stderr.write(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {metrics}\n")
