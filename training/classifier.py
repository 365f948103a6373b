"""This module is one step of a fit, and of its validation: a network that turns rows into logits, and its loss."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional

from training.optimization import make_optimizer, make_schedule
from training.recipe import Recipe


class Classifier(lightning.LightningModule):
    """A network under a recipe, for so many steps."""

    def __init__(self, network: nn.Module, recipe: Recipe, *, steps: int) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps = steps
        self._loss, self._rows = torch.zeros(()), 0

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of a batch; an epoch's last one logs the mean over the epoch's rows."""
        values, labels = batch
        loss = functional.cross_entropy(self.network(values), labels)
        self._loss, self._rows = self._loss.to(loss) + len(labels) * loss.detach(), self._rows + len(labels)
        if self.trainer.is_last_batch:
            mean = self._loss / self._rows
            self.log("train_loss", mean, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)
            self._loss, self._rows = torch.zeros_like(mean), 0
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Share of rows whose largest logit is that of their label."""
        values, labels = batch
        accuracy = (self.network(values).argmax(dim=1) == labels).float().mean()
        self.log("validation_accuracy", accuracy, prog_bar=True, batch_size=len(labels))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, its learning rate set anew every step."""
        optimizer = make_optimizer(self.network, self.recipe)
        schedule = make_schedule(optimizer, self.recipe, steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses of the epoch so far."""
        checkpoint["train_loss"] = (self._loss, self._rows)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on adding to them."""
        self._loss, self._rows = checkpoint["train_loss"]
