"""This module is how the learning rate runs over a fit, step by step.

With ``warmup`` of ``steps`` steps spent on rising, the learning rate at step ``i``, from 0 on, is the recipe's times

    (i + 1) / warmup                                         while it rises (Goyal et al. 2017, section 2.2)
    (1 + cos(pi * (i - warmup) / (steps - warmup))) / 2      then, by ``cosine`` (Loshchilov & Hutter 2017, eq. 5)
    1                                                        then, by ``constant``

``one-cycle`` rises from a 25th to the recipe's over 30 % of the steps, and falls to nearly nothing by half a cosine,
while the momentum does the opposite, between 0.95 and 0.85 (Smith & Topin 2018, as torch has it).
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.errors import RecipeError
from training.recipe import Recipe


def make_schedule(optimizer: Optimizer, recipe: Recipe, *, steps: int) -> LRScheduler:
    """The recipe's learning rate at every one of ``steps`` steps."""
    if recipe.schedule == "one-cycle":
        return OneCycleLR(optimizer, recipe.learning_rate, total_steps=max(steps, 2))  # of 1 step it can make no cycle
    warmup = min(round(steps * recipe.warmup_epochs / recipe.epochs), steps - 1)  # one step at least is behind it
    falls = recipe.schedule == "cosine"

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2 if falls else 1.0

    return LambdaLR(optimizer, factor)


def check_schedule(recipe: Recipe) -> None:
    """Refuse a warm-up or a momentum that the schedule, or the optimizer, has no place for.

    Raises:
        RecipeError: If the schedule warms up or sets the momentum by itself, the optimizer has none to be set, or
            nothing of the fit is left behind the warm-up.
    """
    momentum = Recipe.model_fields["momentum"].default
    if recipe.schedule == "one-cycle" and recipe.momentum != momentum:
        raise RecipeError(
            f"momentum: expected {momentum:g}, its default, with one-cycle, which runs it between 0.95 and 0.85 by "
            f"itself, got {recipe.momentum:g}"
        )
    if recipe.optimizer != "sgd" and recipe.momentum != momentum:
        raise RecipeError(
            f"momentum: expected {momentum:g}, its default, with {recipe.optimizer}, which has moments of its own, got "
            f"{recipe.momentum:g}"
        )
    if recipe.schedule == "one-cycle" and recipe.warmup_epochs:
        raise RecipeError(
            f"warmup_epochs: expected 0 with one-cycle, which rises by itself, got {recipe.warmup_epochs:g}"
        )
    if recipe.warmup_epochs >= recipe.epochs:
        raise RecipeError(
            f"warmup_epochs: expected less than all epochs, which are {recipe.epochs}, got {recipe.warmup_epochs:g}"
        )
