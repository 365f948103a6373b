"""This module is the training loop of the studies: plain torch, deterministic by its seed, read in one screen.

It yields after every step; what a study wants to know it measures between two steps, by what it likes:

    for step in fit(network, data.train, Plan(steps=1000, batch_rows=60, learning_rate=0.1)):
        if step.number in evaluated:
            accuracies.append(accuracy(network, data.test))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from training.data.batches import Batches
from training.data.splits import Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fit: gradient descent on batches, the same ones in the same order for the same seed.

    Attributes:
        steps: How many.
        batch_rows: Rows of each.
        learning_rate: Constant throughout.
        momentum: Of the steps; 0 is plain gradient descent.
        weight_decay: Of every parameter.
        seed: Of the batches, and of torch's own generator, which Dropout draws from.
    """

    steps: int
    batch_rows: int
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    seed: int = 0

    def optimizer(self, network: nn.Module) -> Optimizer:
        """Stochastic gradient descent as planned, over all parameters."""
        return SGD(
            network.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            fused=True,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step that has just been made: the how-manieth from 1, its batch, and the loss that it had before."""

    number: int
    values: Tensor
    labels: Tensor
    loss: float

    @property
    def diverged(self) -> bool:
        """Whether the loss was no longer finite; the step was not made then, and none comes after it."""
        return not math.isfinite(self.loss)


def fit(
    network: nn.Module, rows: Rows, plan: Plan, optimizer: Callable[[nn.Module], Optimizer] | None = None
) -> Iterator[Step]:
    """Fit to rows by cross entropy, and yield after every step; end early if the loss is no longer finite.

    Whoever puts the network into inference mode between two steps need not put it back.

    Args:
        network: Gives logits ``(rows, classes)``.
        rows: To fit to.
        plan: How.
        optimizer: Makes one of the network, in place of the plan's.
    """
    torch.manual_seed(plan.seed)
    steps_by = (optimizer or plan.optimizer)(network)
    for number, chosen in enumerate(_batches(len(rows), plan), start=1):
        values, labels = rows.values[chosen], rows.labels[chosen]
        network.train()
        steps_by.zero_grad()
        loss = functional.cross_entropy(network(values), labels)
        step = Step(number, values, labels, loss.item())
        if not step.diverged:
            loss.backward()  # type: ignore[no-untyped-call]
            steps_by.step()
        yield step
        if step.diverged:
            return


def _batches(num_rows: int, plan: Plan) -> Iterator[Tensor]:
    """Indices of rows: every epoch in a new order, without its last rows where they do not fill a batch."""
    generator = torch.Generator().manual_seed(plan.seed)
    left = plan.steps
    while left > 0:
        order = torch.randperm(num_rows, generator=generator)
        epoch = torch.split(order, min(plan.batch_rows, num_rows))[: max(num_rows // plan.batch_rows, 1)][:left]
        yield from epoch
        left -= len(epoch)


@torch.no_grad()
def accuracy(network: nn.Module, rows: Rows) -> float:
    """Share of rows that are put into their class, in inference mode, which the network stays in."""
    network.eval()
    right = sum(int((network(values).argmax(dim=1) == labels).sum()) for values, labels in Batches(rows, 1000))
    return right / len(rows)


def spread_steps(last: int, count: int, first: int = 1) -> list[int]:
    """About so many step numbers up to the last one, evenly spaced by their logarithm; each once, in order."""
    ratio = last / first
    return sorted({round(first * ratio ** (i / (count - 1))) for i in range(count)})
