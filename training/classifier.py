"""This module is one step of a fit, and of its validation: a network that turns rows into logits, and its loss."""

from __future__ import annotations

import lightning
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

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of a batch."""
        values, labels = batch
        loss = functional.cross_entropy(self.network(values), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(labels))
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
