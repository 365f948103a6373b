"""This module makes the network that a recipe fits to its data, as it is before the first step."""

from __future__ import annotations

import lightning
import torch
from torch import nn

from folding.errors import one_line
from models.standardization import StandardizationRecord
from training.data import LabelledRows, Splits
from training.data.batches import ValueBatches
from training.errors import RecipeError
from training.initialization import start_blocks_at_zero
from training.insert import normalize
from training.networks import build_network
from training.recipe import Recipe
from training.standardization import standardize

BATCH_ROWS = 512


def prepare(recipe: Recipe, data: Splits[LabelledRows]) -> tuple[nn.Module, StandardizationRecord | None]:
    """Build a recipe's network, from its seed, with its changes of where it normalizes, in training mode.

    Returns:
        The network, and how it standardizes the data, if it does.

    Raises:
        RecipeError, DataError: If there is no such network, or it does not go with the data.
    """
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = build_network(recipe.network, recipe.arguments)
    if recipe.zero_last_gamma:
        start_blocks_at_zero(network, recipe.network)
    _refuse_misfit(network, data, recipe)
    normalize(network, data.train.read(torch.arange(2)), recipe.normalize)
    if not (data.columns is not None if recipe.standardize is None else recipe.standardize):
        return network, None
    return network, standardize(network, ValueBatches(data.train, BATCH_ROWS), data.columns)


def _refuse_misfit(network: nn.Module, data: Splits[LabelledRows], recipe: Recipe) -> None:
    """Refuse a network that does not take the data's rows, or gives other than a logit a label, before it is fitted."""
    rows = data.train.read(torch.arange(2))
    network.eval()  # a look, which must not move the statistics
    try:
        with torch.no_grad():
            found = tuple(network(rows).shape)
    except (RuntimeError, ValueError) as error:
        shape = tuple(rows.shape[1:])
        raise RecipeError(
            f"network {recipe.network}: expected to take rows of shape {shape}: {one_line(error)}"
        ) from error
    finally:
        network.train()
    expected = (len(rows), len(data.labels))
    if found != expected:
        raise RecipeError(f"network {recipe.network}: expected logits of shape {expected} for two rows, got {found}")
