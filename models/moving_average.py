"""This module is what a fit left in a normalization layer, before its statistics were estimated from all rows.

While a network is fitted its layers keep moving averages of the mean and variance of every batch,

    average <- (1 - momentum) average + momentum batch

of weights that change all the while. Validation during the fit runs by them. How far they are from the statistics that
the layer was given afterwards says how well that validation told what the final network does.

Source: Ioffe & Szegedy (2015), section 3.1; Wu & Johnson (2021), section 3, for how far off they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.layers import Distance, NormalizationLayer
from models.moments import Array


@dataclass(frozen=True, slots=True, eq=False)
class MovingAverage:
    """The moving averages of one layer.

    Attributes:
        mean: Float64 of shape ``(channels,)``.
        variance: Float64 of shape ``(channels,)``; of a batch torch takes it with Bessel's correction.
    """

    mean: Array
    variance: Array

    def __post_init__(self) -> None:
        if self.mean.shape != self.variance.shape or self.mean.ndim != 1:
            raise ValueError(
                f"expected mean and variance of one shape, got {self.mean.shape} and {self.variance.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.variance).all() and (self.variance >= 0).all()):
            raise ValueError("expected a finite mean and a finite variance of at least 0")

    def distance(self, layer: NormalizationLayer) -> Distance:
        """How far it is from the statistics that the layer has, in the units of those."""
        return Distance(
            (self.mean - layer.mean) / layer.deviation, (self.variance + layer.eps) / np.square(layer.deviation)
        )
