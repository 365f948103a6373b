"""This module fits a classifier to rows and labels: AdamW, one-cycle learning rate, cross-entropy, on Lightning."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from dataclasses import dataclass

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional

from training.data import Splits
from training.data.batches import Batches, ShuffledBatches
from training.errors import RecipeError
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit took, and how well the network did at its end, by moving averages."""

    seconds: float
    train_loss: float
    validation_accuracy: float


def fit(network: nn.Module, data: Splits, recipe: Recipe) -> Fit:
    """Fit a network in place. The same recipe gives the same weights on the same machine.

    On a terminal a bar shows the progress, elsewhere one line an epoch.
    """
    bar = sys.stderr.isatty()
    batches = ShuffledBatches(data.train, recipe.batch_rows, max_shift_pixels=recipe.max_shift_pixels, seed=recipe.seed)
    if len(batches) == 0:
        raise RecipeError(f"batch_rows: expected at most {len(data.train)}, all training rows, got {recipe.batch_rows}")
    classifier = Classifier(network, recipe, steps=recipe.epochs * len(batches))
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    with _quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            callbacks=[TQDMProgressBar() if bar else PlainProgress()],
            enable_progress_bar=bar,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=True,
        )
        started = time.monotonic()
        trainer.fit(
            classifier,
            train_dataloaders=batches,
            val_dataloaders=Batches(data.validation, recipe.batch_rows),
        )
        seconds = time.monotonic() - started
    torch.use_deterministic_algorithms(was_deterministic)  # the trainer leaves it on for the whole process
    network.cpu().eval()
    measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return Fit(seconds, measured["train_loss"], measured["validation_accuracy"])


class Classifier(lightning.LightningModule):
    """The steps of the fit, around a network that turns rows into logits."""

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
        """AdamW that decays matrices and kernels, not biases nor normalization parameters."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.recipe.learning_rate, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class PlainProgress(Callback):
    """One line an epoch, for logs that no one watches."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the line to stderr."""
        del pl_module
        metrics = "  ".join(f"{name} {float(value):.4f}" for name, value in sorted(trainer.callback_metrics.items()))
        sys.stderr.write(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {metrics}\n")


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801  it is used as a function
    """Leaves out Lightning's notes on devices, loaders and its own imports; all other warnings come through."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        for message in (".*does not have many workers", ".*GPU available but not used", ".*LeafSpec.* is deprecated"):
            warnings.filterwarnings("ignore", message)
