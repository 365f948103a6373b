"""This module fits a network to rows and labels by a recipe, on Lightning."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import nn

from training.classifier import Classifier
from training.data import Splits
from training.data.batches import Batches, ShuffledBatches
from training.errors import RecipeError
from training.progress import make_progress
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
    batches = ShuffledBatches(data.train, recipe.batch_rows, seed=recipe.seed, augment=recipe.augment)
    if len(batches) == 0:
        raise RecipeError(f"batch_rows: expected at most {len(data.train)}, all training rows, got {recipe.batch_rows}")
    classifier = Classifier(network, recipe, steps=recipe.epochs * len(batches))
    progress = make_progress()
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    with _quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            callbacks=[progress],
            enable_progress_bar=isinstance(progress, TQDMProgressBar),
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


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801  it is used as a function
    """Leaves out Lightning's notes on devices, loaders and its own imports; all other warnings come through."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        for message in (".*does not have many workers", ".*GPU available but not used", ".*LeafSpec.* is deprecated"):
            warnings.filterwarnings("ignore", message)
