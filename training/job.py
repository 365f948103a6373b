"""This module is the whole job: a recipe in, a verified bundle in the store."""

from __future__ import annotations

from importlib import metadata

import lightning
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.bundle import Bundle, BundleDraft, Sample
from models.manifest import NetworkRecord, TrainingRecord, VerificationRecord
from models.store import Store
from training.data import Rows, Splits, load_data
from training.errors import RecipeError, one_line
from training.export import FoldedGraph, export_graph
from training.fit import fit
from training.networks import build_network
from training.population import estimate_population_statistics
from training.recipe import Recipe
from training.verify import verify

SAMPLE_ROWS = 16
STATISTICS_BATCH_ROWS = 512
INPUT_NAME, OUTPUT_NAME = "image", "logits"


def run(recipe: Recipe, store: Store) -> Bundle:
    """Fit, re-estimate the statistics, fold, export, verify, publish.

    Raises:
        TrainingError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
    """
    data = load_data(recipe.data)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = build_network(recipe.network, recipe.arguments)
    _refuse_misfit(network, data, recipe)
    fitted = fit(network, data, recipe)
    statistics_rows = estimate_population_statistics(network, torch.split(data.train.values, STATISTICS_BATCH_ROWS))
    graph = export_graph(network, (data.train.values[:2],), input_names=[INPUT_NAME], output_names=[OUTPUT_NAME])
    verification = verify(network, graph, (data.test.values,), seed=recipe.seed)
    sample = data.test.values[:SAMPLE_ROWS]
    return store.publish(
        BundleDraft(
            name=recipe.name,
            network=NetworkRecord(
                name=recipe.network,
                arguments=recipe.arguments,
                parameters=sum(parameter.numel() for parameter in network.parameters()),
            ),
            inputs=graph.inputs,
            outputs=graph.outputs,
            labels=data.labels,
            layers=graph.layers,
            training=TrainingRecord(
                rows=statistics_rows,
                data=data.record(),
                recipe=recipe.model_dump(mode="json"),
                metrics={
                    "train_loss": fitted.train_loss,
                    "validation_accuracy": served_accuracy(graph, data.validation),
                    "test_accuracy": served_accuracy(graph, data.test),
                },
                seconds=round(fitted.seconds, 1),
                libraries={name: metadata.version(name) for name in ("torch", "lightning", "onnx", "onnxruntime")},
            ),
            verification=verification,
            model=graph.model,
            normalization=graph.normalization,
            sample=Sample({INPUT_NAME: sample.numpy()}, {OUTPUT_NAME: _answers(network, sample).numpy()}),
            parameters={name: tensor.numpy() for name, tensor in network.state_dict().items()},
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


def verify_bundle(bundle: Bundle) -> VerificationRecord:
    """Rebuild a bundle's network from its own parameters, and compare its graph with it anew.

    Raises:
        RecipeError: If its network can't be built here.
        VerificationError: If the two disagree.
        BundleError: If a file of the bundle is damaged, or its parameters were not published.
    """
    manifest = bundle.manifest
    network = build_network(manifest.network.name, manifest.network.arguments)
    state = {name: torch.from_numpy(array) for name, array in bundle.parameters().items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise RecipeError(
            f"network {manifest.network.name}: parameters.npz does not fit it: {one_line(error)}"
        ) from error
    graph = FoldedGraph(
        model=bundle.model_path.read_bytes(),
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        layers=manifest.layers,
        normalization=bundle.normalization(),
    )
    rows = bundle.sample().inputs
    real_rows = tuple(torch.from_numpy(rows[record.name]) for record in manifest.inputs)
    return verify(network.eval(), graph, real_rows, seed=manifest.version)


def served_accuracy(graph: FoldedGraph, rows: Rows) -> float:
    """Share of rows that the folded graph, run by ONNX Runtime, gives the largest logit of their label."""
    session = onnxruntime.InferenceSession(graph.model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {graph.inputs[0].name: rows.values.numpy()})
    return float((np.argmax(logits, axis=1) == rows.labels.numpy()).mean())


def _answers(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        answers: Tensor = network(rows)
    return answers
