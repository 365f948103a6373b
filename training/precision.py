"""This module is what a network computes in while it is fitted; what comes of it has 32 bits in any case."""

from __future__ import annotations

from typing import Literal

import torch

from training.errors import RecipeError
from training.recipe import Recipe

TrainerPrecision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]


def trainer_precision(recipe: Recipe) -> TrainerPrecision:
    """What Lightning calls it.

    Raises:
        RecipeError: If it is mixed with 16 bits and there is no GPU, whose kernels alone it is for.
    """
    if recipe.precision == "32":
        return "32-true"
    if recipe.precision == "64":
        return "64-true"
    if recipe.precision == "16-mixed" and not torch.cuda.is_available():
        raise RecipeError("precision: expected 32 or bf16-mixed on a machine without a CUDA GPU, got '16-mixed'")
    return recipe.precision
