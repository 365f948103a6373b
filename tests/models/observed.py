"""This module makes layers, and rows of them that are observed, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.layers import NormalizationLayer
from models.manifest import LayerRecord, ScaleRecord, TapRecord
from models.moments import Array
from models.observed_rows import Columns, ObservedRows
from models.taps import Side


def layer(name: str, channels: int, *, seed: int = 0, eps: float = 1e-5) -> NormalizationLayer:
    """A layer of random parameters and statistics, all of its channels observable."""
    rng = np.random.default_rng((seed, channels))
    return NormalizationLayer(
        name=name,
        eps=eps,
        gamma=rng.choice([-1, 1], channels) * rng.uniform(0.5, 2, channels),
        beta=rng.normal(size=channels),
        mean=rng.normal(size=channels),
        variance=rng.uniform(0.5, 2, channels),
    )


def record(layer: NormalizationLayer, *, side: Side = "output", mapped: bool = False) -> LayerRecord:
    """What a manifest says of a layer whose tap has the layer's own name, channels on axis 1."""
    return LayerRecord(
        name=layer.name,
        kind="BatchNorm2d",
        channels=layer.channels,
        eps=layer.eps,
        momentum=0.1,
        num_batches_tracked=1,
        placement="folded-backward",
        into="conv",
        reason=None,
        tap=TapRecord(tensor=layer.name, side=side, channel_axis=1, mapped=mapped),
        scale=ScaleRecord(max=1.0, max_over_median=1.0),
    )


def columns_of(*layers: NormalizationLayer) -> Columns:
    """The columns of layers that are tapped behind."""
    return Columns.of([record(layer) for layer in layers], layers, {})


def observe_values(values: Sequence[Array]) -> ObservedRows:
    """Rows as a probe would tell of them, from what each layer took in training deviations.

    Args:
        values: For each layer, ``(rows, channels, positions)``.
    """
    return ObservedRows(
        np.concatenate([of.mean(axis=2) for of in values], axis=1),
        np.concatenate([of.var(axis=2) for of in values], axis=1),
        np.concatenate([np.full(of.shape[1], of.shape[2]) for of in values]),
        0,
    )
