"""This module publishes a moving average of a network in place of its last step.

After every step, each weight and each running statistic is averaged: ``a <- d a + (1 - d) w``. It starts from what the
network starts from, and from ``d = 2 / 11``: at step ``t``, counted from 1, ``d`` is ``(1 + t) / (10 + t)``, until that
exceeds the recipe's. So the start is forgotten in ten steps, and not in ``1 / (1 - d)``, as with TensorFlow's
``num_updates``. Whole numbers, such as the count of batches that a normalization layer has seen, are those of the last
step.

Running statistics are averaged with the weights, with the same ``d``, since statistics of the last weights are none of
averaged ones. They are right for validation, nearly: what is published has the population's, estimated anew under the
averaged weights (``training/population.py``).

Lightning has such a callback, with a decay that does not start small. It copies the whole module, and averages tensor
by tensor.

Source: Polyak & Juditsky (1992); Izmailov et al. (2018), section 3.2, for the statistics.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class MovingAverage(Callback):
    """Averages a network after every step; validation is of the average, and the network is it at the end of the fit.

    Args:
        network: What is fitted.
        decay: How much of the average stays at a step, above 0 and below 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self._averages: dict[str, Tensor] = {}
        self._last: list[Tensor] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin with what there is, or go on where a checkpoint was written."""
        del trainer, pl_module
        there = self._averaged()
        before = self._averages or there
        self._averages = {name: before[name].to(tensor.device, copy=True) for name, tensor in there.items()}

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *step: object
    ) -> None:
        """Take the step in."""
        del pl_module, step
        steps = trainer.global_step
        decay = min(self.decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._averages.values()), list(self._averaged().values()), 1 - decay)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the average in the network's place."""
        del trainer, pl_module
        self._last = [tensor.clone() for tensor in self._averaged().values()]
        self._set(list(self._averages.values()))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the network back where it was."""
        del trainer, pl_module
        assert self._last is not None
        self._set(self._last)
        self._last = None

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the average."""
        del trainer, pl_module
        self._set(list(self._averages.values()))

    def state_dict(self) -> dict[str, Any]:
        """The average so far."""
        return {"averages": self._averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an average."""
        self._averages = state_dict["averages"]

    def _set(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            torch._foreach_copy_(list(self._averaged().values()), values)

    def _averaged(self) -> dict[str, Tensor]:
        """What is averaged, by its name: all parameters and buffers that are no whole numbers."""
        tensors = (*self.network.named_parameters(), *self.network.named_buffers())
        return {name: tensor.detach() for name, tensor in tensors if tensor.is_floating_point()}
