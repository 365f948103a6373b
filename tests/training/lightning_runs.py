"""This module runs fits of blobs by Lightning alone, so that callbacks are tested without what else a fit has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from torch import Tensor, nn

from tests.training.blobs import splits, state
from training.classifier import Classifier
from training.data.batches import Batches, ShuffledBatches
from training.recipe import Recipe


def run(
    network: nn.Module,
    recipe: Recipe,
    callbacks: Sequence[lightning.Callback],
    *,
    resume: tuple[Path, int] | None = None,
) -> lightning.Trainer:
    """Fit a network, or go on from a checkpoint that was written after so many steps."""
    data = splits()
    batches = ShuffledBatches(data.train, recipe.batch_rows, seed=recipe.seed)
    if resume is not None:
        batches.seek(resume[1])
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    classifier = Classifier(network, recipe, steps=recipe.epochs * len(batches))
    trainer.fit(classifier, batches, Batches(data.validation, 64), ckpt_path=None if resume is None else str(resume[0]))
    return trainer


class Trajectory(lightning.Callback):
    """Remembers what a network was after every step, and at every validation."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.steps: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, *_: object) -> None:
        """Remember a step."""
        self.steps.append(state(self.network))

    def on_validation_epoch_end(self, *_: object) -> None:
        """Remember a validation."""
        self.validated.append(state(self.network))


class CheckpointAt(lightning.Callback):
    """Writes a checkpoint after a step."""

    def __init__(self, step: int, path: Path) -> None:
        self.step = step
        self.path = path

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Write it, if it is that step."""
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same parameters and buffers, to the bit."""
    there = state(other)
    return all(torch.equal(tensor, there[name]) for name, tensor in state(one).items())
