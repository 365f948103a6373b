"""This module ends a fit whose loss is no number any more, and says where that began.

What is needed to say so is taken at every step, where the network is: the loss, and of every normalization layer the
largest running mean, by its absolute value, and the largest running variance. One process on a CPU looks at the loss
after its own step; on GPUs, and where several processes fit, it is looked at after the next one, so that no step waits
for the one before it. The loss is the mean over all processes, so that all of them end at the same step.

The layer that is named is the first, in the order of the forward pass, that the loss's own step left without finite
statistics: a batch that a layer can't normalize any more makes everything behind it NaN.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from training.errors import DivergenceError
from training.normalization import normalization_layers
from training.processes import MeanOfAll


@dataclass(frozen=True, slots=True)
class _Step:
    """What is kept of a step: its place, its loss, and the largest means and variances ``(2, layers)``."""

    place: str
    learning_rate: float
    loss: MeanOfAll
    largest: Tensor


class Divergence(Callback):
    """Looks at the loss of every step, and at the parameters before they go into a checkpoint.

    Args:
        network: What is fitted; the layers of it that keep statistics are the ones that can be named.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._layers = {
            name: layer for name, layer in normalization_layers(network).items() if layer.running_mean is not None
        }
        self._order: list[str] = []
        self._hooks: list[RemovableHandle] = []
        self._learning_rate = math.nan
        self._steps: deque[_Step] = deque(maxlen=3)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the first forward pass for the order of the layers."""
        del trainer, pl_module
        self._hooks = [layer.register_forward_pre_hook(self._meets(name)) for name, layer in self._layers.items()]

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *step: object
    ) -> None:
        """Note the learning rate, before the schedule moves it."""
        del pl_module, step
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401  what Lightning makes of the loss
        *step: object,
    ) -> None:
        """Keep what there is to know of the step, and look at the last one that is surely over."""
        del step
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        place = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step}"
        loss = outputs["loss"].detach()
        self._steps.append(_Step(place, self._learning_rate, MeanOfAll(loss), self._largest(loss)))
        self._look(behind=0 if pl_module.device.type == "cpu" and trainer.world_size == 1 else 1)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the epoch's last step."""
        del trainer, pl_module
        self._look()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse a checkpoint from which no fit could go on; the one before stays the last."""
        del trainer, pl_module, checkpoint
        self._look()
        named = dict(self.network.named_parameters())
        largest = torch.stack(torch._foreach_norm([p.detach() for p in named.values()], math.inf))
        for name, value in zip(named, largest.tolist(), strict=True):
            if not math.isfinite(value):
                raise DivergenceError(f"{name}: expected finite values before a checkpoint, got {value}")

    def _meets(self, name: str) -> Callable[..., None]:
        return lambda _module, _inputs: self._order.append(name)

    def _largest(self, loss: Tensor) -> Tensor:
        if not self._layers:
            return loss.new_empty(2, 0)
        means = [layer.running_mean for layer in self._layers.values() if layer.running_mean is not None]
        variances = [layer.running_var for layer in self._layers.values() if layer.running_var is not None]
        return torch.stack(torch._foreach_norm(means + variances, math.inf)).view(2, -1)

    def _look(self, behind: int = 0) -> None:
        """Raise if the step that so many others came after has no finite loss."""
        place = len(self._steps) - 1 - behind
        if place < 0 or math.isfinite(loss := float(self._steps[place].loss)):
            return
        step = self._steps[place]
        raise DivergenceError(
            f"{step.place}: expected a finite loss, got {loss} at a learning rate of {step.learning_rate:g}; "
            + self._culprit(step, self._steps[place - 1] if place else None)
        )

    def _culprit(self, step: _Step, before: _Step | None) -> str:
        if not self._layers:
            return "no normalization layer keeps statistics that could tell where it began"
        names, largest = list(self._layers), step.largest.cpu()
        order = sorted(range(len(names)), key=lambda n: self._order.index(names[n]) if names[n] in self._order else n)
        first = next((n for n in order if not largest[:, n].isfinite().all()), None)
        if first is None:
            widest = int(largest[1].argmax())
            return f"all statistics are finite; the largest variance is {largest[1, widest]:.3g}, of {names[widest]}"
        text = f"{names[first]} is the first layer whose statistics are not finite"
        if before is None or not before.largest[:, first].isfinite().all():
            return text
        mean, variance = before.largest[:, first].tolist()
        return f"{text}, after a largest mean of {mean:.3g} and a largest variance of {variance:.3g} a step before"
