"""This module is what ``bntrain statistics`` does with its arguments."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from folding.comparison import describe_layer
from folding.errors import one_line
from folding.rows import read_rows
from models.durable import replace_file
from models.recalibration import LayerChangeRecord
from training.arguments import parse_arguments
from training.data.batches import ValueBatches
from training.errors import CheckpointError, RecipeError
from training.loading import load_checkpoint, load_network
from training.normalization import normalization_layers, read_layer, read_moving_averages
from training.population import estimate_population_statistics
from training.preparation import prepare
from training.recipe import load_recipe


@dataclass(frozen=True, slots=True)
class Reestimated:
    """Statistics that were estimated anew.

    Attributes:
        rows: Behind them.
        layers: How far what the checkpoint held is from them, in their units.
    """

    rows: int
    layers: tuple[LayerChangeRecord, ...]


def reestimate_named(options: argparse.Namespace) -> Reestimated:
    """Load a network's parameters, re-estimate its statistics from rows, and write all of it to a new checkpoint.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is written then.
    """
    if options.batch_rows < 1:
        raise RecipeError(f"--batch-rows: expected at least 1, got {options.batch_rows}")
    network, batches = _network_and_rows(options)
    load_checkpoint(network, options.checkpoint)
    network.eval()
    _refuse_misfit(network, batches[0])
    before = read_moving_averages(network)
    rows = estimate_population_statistics(network, batches)
    _save(network, options.output)
    layers = {name: read_layer(name, normalization_layers(network)[name]) for name in before}
    return Reestimated(
        rows, tuple(describe_layer(name, average.distance(layers[name])) for name, average in before.items())
    )


def _network_and_rows(options: argparse.Namespace) -> tuple[nn.Module, Sequence[Tensor]]:
    if (options.recipe is None) == (options.network is None):
        raise RecipeError("expected --recipe or --network, one of the two, to say what the checkpoint is of")
    if options.network is not None and options.rows is None:
        raise RecipeError("--rows: expected a file of rows where there is no recipe that names its data")
    if options.network is not None:
        return load_network(options.network, parse_arguments(options.arguments)), _read_rows(options)
    recipe = load_recipe(options.recipe, options.changes)
    data = recipe.data.load()
    network, _ = prepare(recipe, data)
    return network, ValueBatches(data.train, options.batch_rows) if options.rows is None else _read_rows(options)


def _read_rows(options: argparse.Namespace) -> Sequence[Tensor]:
    arrays = read_rows(options.rows)
    if len(arrays) != 1:
        raise RecipeError(f"--rows: expected one array, what the network takes, got {sorted(arrays)}")
    (array,) = arrays.values()
    if array.ndim < 2 or not len(array):
        raise RecipeError(f"--rows: expected an array of shape (rows, ...), got {array.shape}")
    return torch.split(torch.from_numpy(array), options.batch_rows)


def _refuse_misfit(network: nn.Module, rows: Tensor) -> None:
    try:
        with torch.no_grad():
            network(rows[:2])
    except Exception as error:  # whatever a network raises, this is what it means
        shape = tuple(rows[0].shape)
        raise RecipeError(f"network: expected to take rows of shape {shape}: {one_line(error)}") from error


def _save(network: nn.Module, path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        raise CheckpointError(f"{path}: expected a file that can be written: {error.strerror}") from error
