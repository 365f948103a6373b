"""This module describes the normalization layers of a served model: what each is, and what it was trained on.

Every layer has two forms: summaries, for an overview of all layers, and arrays, one number a channel.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from models.health import health_flags
from models.layers import NormalizationLayer
from models.manifest import FoldingRecord, LayerRecord, Placement, ScaleRecord, TapRecord, UntrackedRecord
from models.moments import Array
from service.errors import NotFound
from service.inference.served_model import ServedModel


class Summary(BaseModel):
    """One figure over all channels of a layer."""

    min: float
    mean: float
    max: float


class Health(BaseModel):
    """One finding about a layer, from its parameters and statistics alone."""

    flag: str = Field(examples=["dead-channels"])
    channels: int
    message: str


class TrainingSummaries(BaseModel):
    """What a layer learned and saw in training; the rows are those behind its statistics."""

    rows: int | None
    gamma: Summary
    beta: Summary
    mean: Summary
    variance: Summary


class TrainingArrays(BaseModel):
    """What a layer learned and saw in training, channel by channel."""

    rows: int | None
    gamma: list[float]
    beta: list[float]
    mean: list[float]
    variance: list[float]


class LayerDescription(BaseModel):
    """What a layer is, and what became of it when the network was exported."""

    name: str = Field(description="Qualified name in the network.", examples=["features.1"])
    kind: str = Field(examples=["BatchNorm2d"])
    channels: int
    eps: float
    placement: Placement
    into: str | None = Field(description="Whose weights took the layer in.", examples=["features.0"])
    reason: str | None = Field(description="Why the layer stayed, where it did.")
    tap: TapRecord = Field(description="Where in the graph the layer can be observed.")
    scale: ScaleRecord = Field(description="How much the layer scales its channels, by absolute value.")


class LayerSummary(LayerDescription):
    """A layer, its figures summarized over its channels."""

    training: TrainingSummaries
    health: list[Health]


class LayerDetail(LayerDescription):
    """A layer, its figures as arrays of length ``channels``."""

    training: TrainingArrays
    health: list[Health]


class NormalizationReport(BaseModel):
    """What folding did to a model version, and its normalization layers in the order in which data meets them."""

    model_name: str
    model_version: str
    folding: FoldingRecord = Field(description="What folding did to the graph as a whole.")
    layers: list[LayerSummary]
    untracked: list[UntrackedRecord] = Field(description="Nodes that normalize without statistics of training data.")


def describe_layers(model: ServedModel) -> NormalizationReport:
    """Every layer in its summarized form; an empty list where the model has none."""
    layers = [
        LayerSummary(
            **_description(record),
            training=TrainingSummaries(rows=_rows(model), **_figures(layer, _summary)),
            health=_health(record, layer),
        )
        for record, layer in zip(model.manifest.layers, model.layers, strict=True)
    ]
    return NormalizationReport(
        model_name=model.name,
        model_version=model.version,
        folding=model.manifest.folding,
        layers=layers,
        untracked=list(model.manifest.untracked),
    )


def describe_layer(model: ServedModel, name: str) -> LayerDetail:
    """One layer in its detailed form.

    Raises:
        NotFound: If the model has no such layer; the text names the nearest.
    """
    for record, layer in zip(model.manifest.layers, model.layers, strict=True):
        if record.name == name:
            return LayerDetail(
                **_description(record),
                training=TrainingArrays(rows=_rows(model), **_figures(layer, np.ndarray.tolist)),
                health=_health(record, layer),
            )
    raise NotFound(_no_such_layer(model, name))


def _description(record: LayerRecord) -> dict[str, Any]:
    return {field: getattr(record, field) for field in LayerDescription.model_fields}


def _rows(model: ServedModel) -> int | None:
    training = model.manifest.training
    return None if training is None else training.rows


def _figures(layer: NormalizationLayer, form: Callable[[Array], Any]) -> dict[str, Any]:
    return {field: form(getattr(layer, field)) for field in ("gamma", "beta", "mean", "variance")}


def _summary(values: Array) -> Summary:
    return Summary(min=float(values.min()), mean=float(values.mean()), max=float(values.max()))


def _health(record: LayerRecord, layer: NormalizationLayer) -> list[Health]:
    flags = health_flags(layer, num_batches_tracked=record.num_batches_tracked)
    return [Health(flag=flag.flag, channels=flag.channels, message=flag.message) for flag in flags]


def _no_such_layer(model: ServedModel, name: str) -> str:
    names: Sequence[str] = [record.name for record in model.manifest.layers]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]!r}" if nearest else "; it has no normalization layers"
    return f"model {model.name!r} version {model.version} has no normalization layer {name!r}{hint}"
