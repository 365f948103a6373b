"""This module fits a network to rows and labels by a recipe, on Lightning."""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from training.averaging import MovingAverage
from training.best_epoch import BestEpoch
from training.checkpointing import Checkpointing, Keeping
from training.classifier import Classifier
from training.data import LabelledRows, Splits
from training.data.batches import Batches, ShuffledBatches
from training.data.class_balance import class_weights
from training.determinism import deterministic_kernels
from training.divergence import Divergence
from training.errors import RecipeError
from training.events import Events, standard_events
from training.interruption import Interrupted
from training.precision import trainer_precision
from training.processes import ALONE, Processes
from training.progress import progress_callbacks
from training.recipe import Recipe
from training.schedules import check_schedule
from training.stopwatch import Stopwatch

VALIDATION_BATCHES = 4
"""How many times more rows than its part of a training batch has a process validates at once: they need no memory for
gradients."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit took, and how well the network did at the epoch that it was left at, by moving averages.

    Attributes:
        seconds: How long it took, over all runs of the job.
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


def fit(  # noqa: PLR0913  all but three are by name, and have defaults
    network: nn.Module,
    data: Splits[LabelledRows],
    recipe: Recipe,
    *,
    loggers: Sequence[Logger] = (),
    events: Events | None = None,
    keeping: Keeping | None = None,
    processes: Processes = ALONE,
) -> Fit:
    """Fit a network in place, on the GPU if there is one. The same recipe gives the same weights on the same machine.

    Args:
        network: What to fit; it is left on the CPU, in inference mode.
        data: What to fit it to, and what to validate it on.
        recipe: How.
        loggers: What every epoch's measures are written to.
        events: What is told of its progress; what suits standard error if there is nothing else.
        keeping: Where it is kept, so that it can go on after its process has ended; nowhere if there is nothing.
        processes: How many fit it, of which this is one.

    Raises:
        RecipeError: If the recipe asks for what the data, the network or this machine can't give.
        DivergenceError: If the loss becomes NaN or infinite; the network is useless then.
        CheckpointError: If a checkpoint is of another network, or of another version of this program.
        Interrupted: If it was asked to leave; it is kept then.
    """
    share = processes.share(recipe.batch_rows)
    batches = ShuffledBatches(
        data.train,
        recipe.batch_rows,
        seed=recipe.seed,
        augment=recipe.augment,
        balanced=recipe.class_balance == "sampling",
        share=share,
    )
    if len(batches) == 0:
        raise RecipeError(f"batch_rows: expected at most {len(data.train)}, all training rows, got {recipe.batch_rows}")
    check_schedule(recipe)
    steps = recipe.epochs * len(batches)
    events, stopwatch = events or standard_events(), Stopwatch()
    best = None if recipe.patience_epochs is None else BestEpoch(network, recipe.patience_epochs)
    watching = [
        stopwatch,
        *progress_callbacks(events, batch_rows=recipe.batch_rows, steps=steps),
        *_what_watches(network, recipe, best),
    ]
    if keeping is not None:
        watching.append(Checkpointing(keeping, batches))
    newest = None if keeping is None else keeping.checkpoints.newest()
    events.tell(
        "started" if newest is None else "resumed",
        step=keeping.checkpoints.last_step or 0 if keeping else 0,
        steps=steps,
    )
    with _quiet_lightning(), deterministic_kernels():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            precision=trainer_precision(recipe),
            gradient_clip_val=recipe.max_gradient_norm,
            callbacks=watching,
            plugins=[] if keeping is None else [keeping.checkpoints],
            enable_progress_bar=events.form == "bar",
            logger=list(loggers),
            log_every_n_steps=len(batches),  # what is logged is of an epoch
            enable_checkpointing=keeping is not None,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=True,
            devices=processes.count,
            strategy=processes.strategy(),
        )
        with _signals_of_lightning():
            trainer.fit(
                Classifier(
                    network,
                    recipe,
                    steps=steps,
                    class_weights=_class_weights(data, recipe),
                    normalization=processes.normalization(),
                ),
                train_dataloaders=batches,
                val_dataloaders=Batches(
                    share.rows_of(data.validation), VALIDATION_BATCHES * recipe.batch_rows // processes.count
                ),
                ckpt_path=newest,
                weights_only=True,
            )
    network.cpu().float().eval()
    if best is not None:
        return _figures(stopwatch.seconds, best.epochs, best.metrics)
    return _figures(
        stopwatch.seconds, recipe.epochs, {name: float(value) for name, value in trainer.callback_metrics.items()}
    )


def _class_weights(data: Splits[LabelledRows], recipe: Recipe) -> Tensor | None:
    return class_weights(data.train.labels, len(data.labels)) if recipe.class_balance == "weights" else None


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


@contextlib.contextmanager
def _signals_of_lightning() -> Iterator[None]:
    """In this context a SIGTERM that Lightning takes, before ``Checkpointing`` does, is one that asks to leave too."""
    try:
        yield
    except SIGTERMException as error:  # a SystemExit, and that of success
        raise Interrupted(signal.SIGTERM) from error


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801  it is used as a function
    """Leaves out Lightning's notes on devices, loaders and its own imports; all other warnings come through."""

    def __enter__(self) -> None:
        super().__enter__()
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)
        for message in _NOTES:
            warnings.filterwarnings("ignore", message)


_NOTES = (
    ".*does not have many workers",
    ".*GPU available but not used",
    ".*LeafSpec.* is deprecated",
    ".*in eval mode at the start of training",  # a standardization is
    ".*your dataloader is not resumable",  # it is: by its place, see training/checkpointing.py
    ".*It is recommended to use `self.log",  # what is logged has been added up over the processes
    ".*`broadcast_buffers` is deprecated",  # what takes its place, torch 2.9 has not
    ".*Grad strides do not match bucket view strides",  # of kernels of one pixel: a copy of a few bytes
)
