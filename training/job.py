"""This module is the whole job: a recipe in, a verified bundle in the store."""

from __future__ import annotations

from importlib import metadata

import lightning
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from folding.errors import one_line
from folding.folded import FoldedGraph
from folding.proof import draft
from models.bundle import Bundle
from models.manifest import TrainingRecord
from models.store import Store
from training.data import Rows, Splits, load_data
from training.errors import RecipeError
from training.fit import fit
from training.insert import normalize
from training.networks import build_network
from training.normalization import read_moving_averages
from training.population import estimate_population_statistics
from training.publishing import describe, export_network, parameter_arrays
from training.recipe import Recipe

STATISTICS_BATCH_ROWS = 512
INPUT_NAME, OUTPUT_NAME = "image", "logits"


def run(recipe: Recipe, store: Store) -> Bundle:
    """Fit, re-estimate the statistics, fold, export, verify, publish.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
    """
    data = load_data(recipe.data)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = build_network(recipe.network, recipe.arguments)
    _refuse_misfit(network, data, recipe)
    normalize(network, data.train.values[:2], recipe.normalize)
    fitted = fit(network, data, recipe)
    moving_averages = read_moving_averages(network)
    statistics_rows = estimate_population_statistics(network, torch.split(data.train.values, STATISTICS_BATCH_ROWS))
    exported = export_network(
        network,
        data.train.values[:2],
        mode=recipe.fold,
        rows=torch.cat([data.test.values, data.validation.values]),
        names=([INPUT_NAME], [OUTPUT_NAME]),
    )
    training = TrainingRecord(
        rows=statistics_rows,
        data=data.record(),
        recipe=recipe.model_dump(mode="json"),
        metrics={
            "train_loss": fitted.train_loss,
            "validation_accuracy": served_accuracy(exported.graph, data.validation),
            "test_accuracy": served_accuracy(exported.graph, data.test),
        },
        seconds=round(fitted.seconds, 3),
        libraries={name: metadata.version(name) for name in ("torch", "lightning", "onnx", "onnxruntime")},
    )
    return store.publish(
        draft(
            exported,
            name=recipe.name,
            network=describe(network, recipe.network, recipe.arguments, recipe.normalize),
            labels=data.labels,
            training=training,
            parameters=parameter_arrays(network),
            moving_averages=moving_averages,
        )
    )


def _refuse_misfit(network: nn.Module, data: Splits, recipe: Recipe) -> None:
    """Refuse a network that does not take the data's rows, or gives other than a logit a label, before it is fitted."""
    rows = data.train.values[:2]
    network.eval()  # a look, which must not move the statistics
    try:
        found = tuple(_answers(network, rows).shape)
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


def served_accuracy(graph: FoldedGraph, rows: Rows) -> float:
    """Share of rows that the folded graph, run by ONNX Runtime, gives the largest logit of their label."""
    session = onnxruntime.InferenceSession(graph.model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {graph.inputs[0].name: rows.values.numpy()})
    return float((np.argmax(logits, axis=1) == rows.labels.numpy()).mean())


def _answers(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        answers: Tensor = network(rows)
    return answers
