"""This module is how a fit moves the parameters: by what rule, and which of them decay.

Matrices and kernels decay; biases and the parameters of normalization layers do not. The scale of weights in front of a
normalization does not matter to what it gives, so that decay acts on how far a step turns them; decay of gamma and beta
would act on the function itself (van Laarhoven 2017, L2 regularization versus batch and weight normalization).
"""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer over all parameters of a network."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # one kernel for all parameters; in mixed precision it may unscale gradients itself, too late for them to be clipped
    fused = recipe.precision == "32" or recipe.max_gradient_norm is None
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=fused)
    return AdamW(groups, lr=recipe.learning_rate, fused=fused)
