"""This module warns where folding puts precision at risk: few bits must hold small and large channels side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.health import SCALE_OUTLIER_RATIO
from models.layers import NormalizationLayer
from models.manifest import LayerRecord

LARGEST_HALF = 65504.0
"""The largest number that float16 holds."""


def precision_warnings(
    layers: Sequence[LayerRecord], normalization: Sequence[NormalizationLayer], largest_weight: float
) -> Iterator[str]:
    """A sentence for every risk.

    Args:
        layers: The layers' records.
        normalization: Their parameters and statistics.
        largest_weight: The largest absolute value among the folded graph's constants.
    """
    for record, layer in zip(layers, normalization, strict=True):
        collapsed = int((layer.variance < layer.eps).sum())
        if collapsed:
            yield (
                f"{layer.name}: {collapsed} of {layer.channels} channels have a variance below eps ({layer.eps:g}), so "
                f"that rounding errors of their input are scaled by up to {np.abs(layer.scale).max():.3g}."
            )
        spread = record.scale.max_over_median
        if spread is not None and spread > SCALE_OUTLIER_RATIO:
            yield (
                f"{layer.name}: the largest scale is {spread:.3g} times the median; quantization by tensor would lose "
                "the other channels."
            )
    if largest_weight > LARGEST_HALF:
        yield f"A constant of the folded graph is {largest_weight:.3g}, more than float16 holds ({LARGEST_HALF:g})."
