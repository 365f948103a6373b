"""This module fits a network to rows and labels by a recipe, on Lightning."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import lightning
import torch
from torch import nn

from training.checkpointing import Checkpointing, Keeping
from training.classifier import Classifier
from training.data import Splits
from training.data.batches import Batches, ShuffledBatches
from training.errors import RecipeError
from training.events import Events, standard_events
from training.progress import progress_callbacks
from training.recipe import Recipe
from training.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit took, and how well the network did at its end, by moving averages."""

    seconds: float
    train_loss: float
    validation_accuracy: float


def fit(
    network: nn.Module, data: Splits, recipe: Recipe, *, events: Events | None = None, keeping: Keeping | None = None
) -> Fit:
    """Fit a network in place. The same recipe gives the same weights on the same machine.

    Args:
        network: What to fit.
        data: What to fit it to, and what to validate it on.
        recipe: How.
        events: What is told of its progress; what suits standard error if there is nothing else.
        keeping: Where it is kept, so that it can go on after its process has ended; nowhere if there is nothing.

    Raises:
        RecipeError: If the data does not fill a batch.
        CheckpointError: If a checkpoint is of another network, or of another version of this program.
        Interrupted: If it was asked to leave; it is kept then.
    """
    batches = ShuffledBatches(data.train, recipe.batch_rows, seed=recipe.seed, augment=recipe.augment)
    if len(batches) == 0:
        raise RecipeError(f"batch_rows: expected at most {len(data.train)}, all training rows, got {recipe.batch_rows}")
    steps = recipe.epochs * len(batches)
    events = events or standard_events()
    stopwatch = Stopwatch()
    callbacks = [stopwatch, *progress_callbacks(events, batch_rows=recipe.batch_rows, steps=steps)]
    if keeping is not None:
        callbacks.append(Checkpointing(keeping, batches))
    last = None if keeping is None else keeping.checkpoints.newest()
    events.tell(
        "started" if last is None else "resumed", step=keeping.checkpoints.last_step or 0 if keeping else 0, steps=steps
    )
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    with _quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            plugins=[] if keeping is None else [keeping.checkpoints],
            enable_progress_bar=events.form == "bar",
            logger=False,
            enable_checkpointing=keeping is not None,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=True,
        )
        trainer.fit(
            Classifier(network, recipe, steps=steps),
            train_dataloaders=batches,
            val_dataloaders=Batches(data.validation, recipe.batch_rows),
            ckpt_path=last,
            weights_only=True,
        )
    torch.use_deterministic_algorithms(was_deterministic)  # the trainer leaves it on for the whole process
    network.cpu().eval()
    measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return Fit(stopwatch.seconds, measured["train_loss"], measured["validation_accuracy"])


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801  it is used as a function
    """Leaves out Lightning's notes on devices, loaders and its own imports; all other warnings come through."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        for message in _NOTES:
            warnings.filterwarnings("ignore", message)


_NOTES = (
    ".*does not have many workers",
    ".*GPU available but not used",
    ".*LeafSpec.* is deprecated",
    ".*your dataloader is not resumable",  # it is: by its place, see training/checkpointing.py
)
