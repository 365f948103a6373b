"""This module makes a bundle of a network that was fitted: statistics, folding, verification, calibration, accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import torch
from torch import Tensor, nn

from folding.proof import draft
from models.draft import BundleDraft
from models.moving_average import MovingAverage
from models.standardization import StandardizationRecord
from models.training import DataRecord, TrainingRecord
from training.accuracy import served_accuracy
from training.data import LabelledRows, Splits
from training.data.batches import ValueBatches, pass_rows, read_evenly
from training.fit import Fit
from training.normalization import read_moving_averages
from training.population import estimate_population_statistics
from training.processes import own_device, part, part_of
from training.publishing import describe, export_network, parameter_arrays
from training.recipe import Recipe

HELD_OUT_ROWS = 10_000
"""Of the validation rows, and of the test rows, so many are verified and calibrated with at most."""
HELD_OUT_VALUES = 2**26
"""They hold so many values at most, 256 MB in float32: fewer rows where rows are large."""
INPUT_NAME, OUTPUT_NAME = "image", "logits"
VALUES_NAME = "values"
"""Of the input, where rows are no images."""

IMAGE_AXES = 4
"""Rows, channels, height and width."""

Tell = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted network with the statistics of all training rows.

    Attributes:
        network: In inference mode.
        figures: Of its fit.
        moving_averages: What the fit had left in place of the statistics, by layer.
        rows: Behind the statistics.
        standardization: How it standardizes the data, if it does.
    """

    network: nn.Module
    figures: Fit
    moving_averages: dict[str, MovingAverage]
    rows: int
    standardization: StandardizationRecord | None


def with_population_statistics(
    network: nn.Module, data: Splits[LabelledRows], figures: Fit, standardization: StandardizationRecord | None
) -> Fitted:
    """Replace the statistics that a fit has left by those of all training rows; all processes do it together.

    It is done on the GPU, if there is one; the network is left on the CPU.

    Raises:
        StatisticsError: If they can't be estimated.
    """
    moving_averages = read_moving_averages(network)
    batches = ValueBatches(part_of(data.train), pass_rows(data.train))
    # convolutions of GPUs are of fewer bits than the network's by default, and not the same every time
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        estimate_population_statistics(network.to(own_device()), batches)
    part()
    network.cpu()
    return Fitted(network, figures, moving_averages, len(data.train), standardization)


def draft_fitted(
    fitted: Fitted, data: Splits[LabelledRows], described: DataRecord, recipe: Recipe, tell: Tell
) -> BundleDraft:
    """Fold, verify and calibrate a fitted network with held-out rows, and measure how well it will answer.

    Args:
        fitted: The network, and how it came to be.
        data: What it was fitted to, and is measured on.
        described: What the manifest says of the data.
        recipe: How it was fitted.
        tell: Is told of every step.

    Raises:
        TrainingError, GraphError: If any of it can't be done.
    """
    network = fitted.network
    example = data.train.read(torch.arange(2))
    exported = export_network(
        network,
        example,
        mode=recipe.fold,
        rows=held_out_rows(data),
        names=([INPUT_NAME if example.ndim == IMAGE_AXES else VALUES_NAME], [OUTPUT_NAME]),
    )
    layers = exported.graph.layers
    tell("folded", layers=len(layers), kept=sum(layer.placement == "kept" for layer in layers))
    training = TrainingRecord(
        rows=fitted.rows,
        data=described,
        recipe=recipe.model_dump(mode="json"),
        metrics={
            "train_loss": fitted.figures.train_loss,
            "validation_accuracy": served_accuracy(exported.graph, data.validation),
            "test_accuracy": served_accuracy(exported.graph, data.test),
        },
        seconds=round(fitted.figures.seconds, 3),
        libraries={name: metadata.version(name) for name in ("torch", "lightning", "onnx", "onnxruntime")},
        standardization=fitted.standardization,
    )
    tell("verified", tolerance=exported.verification.tolerance, **training.metrics)
    return draft(
        exported,
        name=recipe.name,
        network=describe(network, recipe.network, recipe.arguments, recipe.normalize),
        labels=data.labels,
        training=training,
        parameters=parameter_arrays(network),
        moving_averages=fitted.moving_averages,
    )


def held_out_rows(data: Splits[LabelledRows], *, values: int = HELD_OUT_VALUES) -> Tensor:
    """Test rows and validation rows ``(rows, ...)``, at even distances where all of them would be too many.

    Args:
        data: Whose they are.
        values: How many each of the two parts may have at most, unless one row has more.
    """
    at_most = max(1, min(HELD_OUT_ROWS, values // data.test.read(torch.arange(1)).numel()))
    return torch.cat([read_evenly(rows, at_most) for rows in (data.test, data.validation)])
