"""This module is one step of a fit, and of its validation: a network that turns rows into logits, and its loss.

What is measured is added up where the network is, in buffers that every checkpoint has, and looked at once an epoch: a
number that is read at every step would have a GPU wait at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional

from folding.errors import one_line
from training.errors import CheckpointError
from training.optimization import make_optimizer
from training.recipe import Recipe
from training.schedules import make_schedule

Batch = tuple[Tensor, Tensor]
"""Values ``(rows, ...)`` and labels ``(rows,)``."""

_AS_IT_IS = nullcontext()


class Classifier(lightning.LightningModule):
    """A network under a recipe, for so many steps.

    Args:
        network: What is fitted.
        recipe: How.
        steps: In all epochs together.
        class_weights: What a row counts in the loss, by its class, ``(classes,)``; the average over training rows is 1.
        normalization: In which context training rows go through the network.
    """

    train_totals: Tensor
    validation_totals: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        *,
        steps: int,
        class_weights: Tensor | None = None,
        normalization: AbstractContextManager[object] = _AS_IT_IS,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps = steps
        self.normalization = normalization
        self.register_buffer("class_weights", class_weights)
        self.register_buffer("train_totals", torch.zeros(2))  # of losses, and of rows
        self.register_buffer("validation_totals", torch.zeros(3))  # of losses, of rows, and of those that are right

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of a batch, its labels smoothed."""
        values, labels = batch
        with self.normalization:
            logits = self.network(values)
        loss = self._loss(logits, labels, self.recipe.label_smoothing)
        rows = len(labels)
        self.train_totals.add_(torch.stack((loss.detach() * rows, loss.new_full((), rows))))
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Count rows whose largest logit is that of their label, and add up the loss without smoothing."""
        values, labels = batch
        logits = self.network(values)
        rows, right = len(labels), (logits.argmax(dim=1) == labels).sum()
        loss = self._loss(logits, labels, 0.0)
        self.validation_totals.add_(torch.stack((loss * rows, loss.new_full((), rows), right)))

    def on_validation_epoch_end(self) -> None:
        """Tell what the epoch was like: of its training steps, with weights that changed, and of the validation."""
        train_loss, train_rows = self._sums(self.train_totals)
        loss, rows, right = self._sums(self.validation_totals)
        measured = {"validation_loss": loss / rows, "validation_accuracy": right / rows}
        if train_rows:
            measured["train_loss"] = train_loss / train_rows
        (group, *_) = self.trainer.optimizers[0].param_groups
        self.log_dict({**measured, "learning_rate": group["lr"]}, prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what all processes have added up, not what this one has: others may go on, and not as many."""
        checkpoint["state_dict"]["train_totals"] = self._sum_of_all(self.train_totals)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let one of the processes go on from what all had added up."""
        if self.trainer.global_rank != 0:
            checkpoint["state_dict"]["train_totals"].zero_()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, its learning rate set anew every step."""
        optimizer = make_optimizer(self.network, self.recipe)
        schedule = make_schedule(optimizer, self.recipe, steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401  as its base has it
        """Take what a checkpoint holds.

        Raises:
            CheckpointError: If it is of another network.
        """
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint is of another network: {one_line(error)}") from error

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Leave a batch that need not be moved as it is; to look through it would take as long as a small layer."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set an attribute; the one that Lightning sets twice a hook is spared torch's look for modules and tensors."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def _loss(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The mean over rows; torch's own mean is over weights, and as many rows elsewhere could have others."""
        if self.class_weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        losses = functional.cross_entropy(
            logits, labels, self.class_weights, reduction="none", label_smoothing=smoothing
        )
        return losses.mean()

    def _sums(self, totals: Tensor) -> list[float]:
        """What all processes have added up; they begin anew."""
        sums = self._sum_of_all(totals).cpu()
        totals.zero_()
        return [float(value) for value in sums]

    def _sum_of_all(self, totals: Tensor) -> Tensor:
        sums: Tensor = self.trainer.strategy.reduce(totals.clone(), reduce_op="sum")
        return sums
