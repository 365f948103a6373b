"""This module makes the network that a recipe fits to its data, as it is before the first step."""

from __future__ import annotations

import copy

import lightning
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from folding.errors import one_line
from models.standardization import StandardizationRecord
from training.activations import inference_mode
from training.data import LabelledRows, Splits
from training.data.batches import ValueBatches, pass_rows
from training.errors import RecipeError
from training.initialization import start_blocks_at_zero
from training.insert import normalize
from training.loading import load_network
from training.population import order_of_use
from training.recipe import Recipe
from training.standardization import standardize


def prepare(recipe: Recipe, data: Splits[LabelledRows]) -> tuple[nn.Module, StandardizationRecord | None]:
    """Build a recipe's network, from its seed, with its changes of where it normalizes, in training mode.

    Returns:
        The network, and how it standardizes the data, if it does.

    Raises:
        RecipeError, DataError: If there is no such network, or it does not go with the data.
        StatisticsError: If it uses a normalization layer twice in a pass.
    """
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = load_network(recipe.network, recipe.arguments).train()
    if recipe.zero_last_gamma:
        start_blocks_at_zero(network, recipe.network)
    rows = data.train.read(torch.arange(2))
    _refuse_misfit(network, rows, len(data.labels), recipe)
    normalize(network, rows, recipe.normalize)
    _refuse_shared_statistics(network, rows)
    if not (data.columns is not None if recipe.standardize is None else recipe.standardize):
        return network, None
    return network, standardize(network, ValueBatches(data.train, pass_rows(data.train)), data.columns)


def _refuse_misfit(network: nn.Module, rows: Tensor, num_labels: int, recipe: Recipe) -> None:
    """Refuse a network that does not take the data's rows, or gives other than a logit a label, before it is fitted.

    Some give in training mode more than in inference mode, so both are looked at; the network itself stays as it is.
    """
    expected = (len(rows), num_labels)
    for training, mode in ((False, ""), (True, " in training mode")):
        looked_at = copy.deepcopy(network).train(training)
        try:
            with isolate_rng(), torch.no_grad():
                given = looked_at(rows)
        except Exception as error:  # whatever a network raises, this is what it means
            shape = tuple(rows.shape[1:])
            raise RecipeError(
                f"network {recipe.network}: expected to take rows of shape {shape}{mode}: {one_line(error)}"
            ) from error
        found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        if found != expected:
            raise RecipeError(
                f"network {recipe.network}: expected logits of shape {expected} for two rows{mode}, got {found}"
            )


def _refuse_shared_statistics(network: nn.Module, rows: Tensor) -> None:
    with inference_mode(network), torch.no_grad():
        order_of_use(network, rows)
