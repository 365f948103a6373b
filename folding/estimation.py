"""This module estimates the statistics that every layer is to have, from rows and from those that it has.

Where the latter count as ``N`` rows beside ``n`` new ones,

    mean = N / (N + n) mean_source + n / (N + n) mean_rows        the same for the variance

Source: Schneider et al. (2020), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from folding.batch_statistics import measure_layers
from folding.errors import RecalibrationError
from folding.new_statistics import layers_that_share
from models.layers import NormalizationLayer
from models.moments import Array, Moments

LEAST_VARIANCE = 1e-6
"""Of a channel's old variance, what has to be left of it: the deviation of a thousandth is no shift of data."""


def estimate_layers(
    unfolded: bytes,
    layers: Sequence[NormalizationLayer],
    rows: Sequence[NDArray[Any]],
    *,
    prior_rows: int,
    batch_rows: int,
) -> list[NormalizationLayer]:
    """Every layer with its new statistics; several uses of one layer get those of all of them together.

    Args:
        unfolded: The graph before folding.
        layers: As they are.
        rows: One array an input, ``(rows, ...)``.
        prior_rows: The ``N`` above.
        batch_rows: At most so many rows are normalized together.

    Raises:
        RecalibrationError: If the graph can't be run so, or a channel that varied does no longer.
    """
    weight = len(rows[0]) / (prior_rows + len(rows[0]))
    measured = measure_layers(unfolded, layers, rows, batch_rows=batch_rows, weight=weight)
    for group in layers_that_share(unfolded, list(measured)):
        measured |= dict.fromkeys(group, reduce(Moments.merge, [measured[name] for name in group]))
    return [_mixed(layer, measured[layer.name], weight) for layer in layers]


def _mixed(layer: NormalizationLayer, found: Moments, weight: float) -> NormalizationLayer:
    variance = (1 - weight) * layer.variance + weight * found.variance
    _refuse_degenerate(layer, variance)
    return replace(layer, mean=(1 - weight) * layer.mean + weight * found.mean, variance=variance)


def _refuse_degenerate(layer: NormalizationLayer, variance: Array) -> None:
    """Refuse a layer of which a channel varied by more than eps, and over the rows does not vary."""
    (lost,) = np.nonzero((layer.variance > layer.eps) & (variance < LEAST_VARIANCE * layer.variance))
    if lost.size:
        more = f" and {lost.size - 1} more" if lost.size > 1 else ""
        raise RecalibrationError(
            f"{layer.name}: expected every channel to vary over the rows, got variance {variance[lost[0]]:.3g} in "
            f"channel {lost[0]}{more}, where it was {layer.variance[lost[0]]:.3g}"
        )
