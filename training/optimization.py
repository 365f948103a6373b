"""This module is how a fit moves the parameters: which of them decay, by what rule, and how fast at which step.

Matrices and kernels decay; biases and the parameters of normalization layers do not.
"""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer over all parameters of a network."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    return AdamW(groups, lr=recipe.learning_rate)


def make_schedule(optimizer: Optimizer, recipe: Recipe, *, steps: int) -> LRScheduler:
    """The recipe's learning rate at every one of ``steps`` steps."""
    return OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
