"""This module fits a network to rows and labels by a recipe, on Lightning."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import lightning
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from training.averaging import MovingAverage
from training.best_epoch import BestEpoch
from training.classifier import Classifier
from training.data import Splits
from training.data.batches import Batches, ShuffledBatches
from training.determinism import deterministic_kernels
from training.divergence import Divergence
from training.errors import RecipeError
from training.precision import trainer_precision
from training.processes import ALONE, Processes
from training.progress import make_progress
from training.recipe import Recipe
from training.schedules import check_schedule

VALIDATION_BATCHES = 4
"""How many times more rows than a training batch has are validated at once: they need no memory for gradients."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit took, and how well the network did at the epoch that it was left at, by moving averages.

    Attributes:
        seconds: How long it took.
        epochs: After how many the network is what was left: all of them, or the best one's number.
        train_loss: Mean over the epoch's steps.
        validation_loss: Mean over the validation rows, without label smoothing.
        validation_accuracy: Share of the validation rows whose largest logit is their label's.
    """

    seconds: float
    epochs: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float


def fit(
    network: nn.Module,
    data: Splits,
    recipe: Recipe,
    *,
    class_weights: Tensor | None = None,
    loggers: Sequence[Logger] = (),
    processes: Processes = ALONE,
) -> Fit:
    """Fit a network in place, on the GPU if there is one. The same recipe gives the same weights on the same machine.

    On a terminal a bar shows the progress, elsewhere one line an epoch.

    Args:
        network: What to fit; it is left on the CPU, in inference mode.
        data: What to fit it to, and what to validate it on.
        recipe: How.
        class_weights: What a row counts in the loss, by its class, ``(classes,)``.
        loggers: What every epoch's measures are written to.
        processes: How many fit it, of which this is one.

    Raises:
        RecipeError: If the recipe asks for what the data, the network or this machine can't give.
        DivergenceError: If the loss becomes NaN or infinite; the network is useless then.
    """
    batches = ShuffledBatches(
        data.train,
        recipe.batch_rows,
        seed=recipe.seed,
        augment=recipe.augment,
        share=processes.share(recipe.batch_rows),
        balanced=recipe.class_balance == "sampling",
    )
    if len(batches) == 0:
        raise RecipeError(f"batch_rows: expected at most {len(data.train)}, all training rows, got {recipe.batch_rows}")
    check_schedule(recipe)
    steps = recipe.epochs * len(batches)
    progress = make_progress()
    best = None if recipe.patience_epochs is None else BestEpoch(network, recipe.patience_epochs)
    with _quiet_lightning(), deterministic_kernels():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            precision=trainer_precision(recipe),
            gradient_clip_val=recipe.max_gradient_norm,
            callbacks=[progress, *_what_watches(network, recipe, best)],
            enable_progress_bar=isinstance(progress, TQDMProgressBar),
            logger=list(loggers),
            log_every_n_steps=len(batches),  # what is logged is of an epoch
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=True,
            devices=processes.devices,
            num_nodes=processes.nodes,
            strategy=processes.strategy(),
        )
        started = time.monotonic()
        trainer.fit(
            Classifier(
                network, recipe, steps=steps, class_weights=class_weights, normalization=processes.normalization()
            ),
            train_dataloaders=batches,
            val_dataloaders=Batches(processes.part(data.validation), VALIDATION_BATCHES * recipe.batch_rows),
        )
        seconds = time.monotonic() - started
    network.cpu().eval()
    if best is not None:
        return _figures(seconds, best.epochs, best.metrics)
    return _figures(seconds, recipe.epochs, {name: float(value) for name, value in trainer.callback_metrics.items()})


def _what_watches(network: nn.Module, recipe: Recipe, best: BestEpoch | None) -> list[Callback]:
    """The callbacks of a recipe; the best epoch is kept while the average stands in the network's place."""
    watching: list[Callback] = [Divergence(network)]
    if best is not None:
        watching.append(best)
    if recipe.average_decay is not None:
        watching.append(MovingAverage(network, recipe.average_decay))
    return watching


def _figures(seconds: float, epochs: int, measured: dict[str, float]) -> Fit:
    return Fit(seconds, epochs, measured["train_loss"], measured["validation_loss"], measured["validation_accuracy"])


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801  it is used as a function
    """Leaves out Lightning's notes on devices, loaders and its own imports; all other warnings come through."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        for message in (".*does not have many workers", ".*GPU available but not used", ".*LeafSpec.* is deprecated"):
            warnings.filterwarnings("ignore", message)
