"""This module is the whole job: a recipe in, a verified bundle in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
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
from models.draft import BundleDraft
from models.manifest import TrainingRecord
from models.store import Store
from training.data import Rows, Splits, load_data
from training.environment import read_environment
from training.errors import RecipeError
from training.fit import Fit, fit
from training.kept_fit import Runs, kept_fit
from training.networks import build_network
from training.normalization import read_moving_averages
from training.population import estimate_population_statistics
from training.publishing import describe, export_network, parameter_arrays
from training.recipe import Recipe

STATISTICS_BATCH_ROWS = 512
INPUT_NAME, OUTPUT_NAME = "image", "logits"

Tell = Callable[..., None]


def _untold(event: str, **fields: object) -> None:
    del event, fields


def run(recipe: Recipe, store: Store, runs: Runs | None = None) -> Bundle:
    """Fit, re-estimate the statistics, fold, export, verify, publish.

    Args:
        recipe: What to fit, and how.
        store: Where to publish.
        runs: How the job is kept, so that it can be killed and run again; not at all if there is nothing.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
        Interrupted: If the job was asked to leave; run again, it goes on.
    """
    data = load_data(recipe.data)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = build_network(recipe.network, recipe.arguments)
    _refuse_misfit(network, data, recipe)
    if runs is None:
        fitted = fit(network, data, recipe)
        return store.publish(_make(network, data, recipe, fitted))
    folder, tell = runs.folder, runs.folder.events.tell
    begun = folder.begin(recipe, data=data.record().sha256, environment=read_environment(), restart=runs.restart)
    fitted = kept_fit(network, data, recipe, runs)
    tell("fitted", **asdict(fitted))
    made = _make(network, data, recipe, fitted, tell)
    bundle = _already_published(store, made, begun.started) or store.publish(made)
    folder.finish(begun, bundle.manifest.version)
    tell("published", version=bundle.manifest.version, path=str(bundle.path))
    return bundle


def _make(network: nn.Module, data: Splits, recipe: Recipe, fitted: Fit, tell: Tell = _untold) -> BundleDraft:
    moving_averages = read_moving_averages(network)
    statistics_rows = estimate_population_statistics(network, torch.split(data.train.values, STATISTICS_BATCH_ROWS))
    tell("statistics", rows=statistics_rows)
    exported = export_network(
        network,
        data.train.values[:2],
        mode=recipe.fold,
        rows=torch.cat([data.test.values, data.validation.values]),
        names=([INPUT_NAME], [OUTPUT_NAME]),
    )
    tell("folded", layers=len(exported.graph.layers), kept=sum(x.placement == "kept" for x in exported.graph.layers))
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
    tell("verified", tolerance=exported.verification.tolerance, **training.metrics)
    return draft(
        exported,
        name=recipe.name,
        network=describe(network, recipe.network, recipe.arguments),
        labels=data.labels,
        training=training,
        parameters=parameter_arrays(network),
        moving_averages=moving_averages,
    )


def _already_published(store: Store, made: BundleDraft, since: datetime) -> Bundle | None:
    """What an earlier run of this job published before its process was killed, without a moment to say so.

    The record of the training has how long the fit took, to the millisecond, as the folder keeps it.
    """
    for version in reversed(store.versions(made.name)):
        bundle = store.open(made.name, version)
        if bundle.manifest.created < since:
            break
        if bundle.manifest.training == made.training:
            return bundle
    return None


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
