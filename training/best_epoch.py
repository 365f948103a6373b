"""This module publishes the epoch with the lowest validation loss, and ends a fit that has found none for a while.

A schedule that falls over the whole fit makes its last epochs the best ones; a fit that ends before has had too high a
learning rate in all of its steps. So a patience is mostly for ``constant``.
"""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class BestEpoch(Callback):
    """Keeps the network of the best epoch so far, as it was validated, and leaves it at the end of the fit.

    It has to see the end of a validation before whatever puts an average in the network's place.

    Args:
        network: What is fitted.
        patience_epochs: After so many epochs without a lower validation loss the fit ends.
    """

    def __init__(self, network: nn.Module, patience_epochs: int) -> None:
        self.network = network
        self.patience_epochs = patience_epochs
        self.epochs = 0
        self.metrics: dict[str, float] = {"validation_loss": math.inf}
        self._weights: dict[str, Tensor] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Do not go on after a checkpoint behind which there was no patience left."""
        del pl_module
        self._stop_if_impatient(trainer, epochs=trainer.current_epoch)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the network if it is better than before."""
        del pl_module
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if math.isnan(measured["validation_loss"]):
            measured["validation_loss"] = math.inf  # anything is better
        epochs = trainer.current_epoch + 1
        if not self._weights or measured["validation_loss"] < self.metrics["validation_loss"]:
            self.epochs, self.metrics = epochs, measured
            self._weights = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self._stop_if_impatient(trainer, epochs=epochs)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the best network."""
        del trainer, pl_module
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(self._weights[name])

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far."""
        return {"epochs": self.epochs, "metrics": self.metrics, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a best epoch."""
        self.epochs, self.metrics = state_dict["epochs"], state_dict["metrics"]
        self._weights = state_dict["weights"]

    def _stop_if_impatient(self, trainer: lightning.Trainer, *, epochs: int) -> None:
        if epochs - self.epochs >= self.patience_epochs:
            trainer.should_stop = True
