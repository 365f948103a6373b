"""This module describes one normalization layer by its parameters and statistics, and measures distances to it.

At inference a normalization layer is an affine map per channel, ``y = s x + t`` with

    s = gamma / sqrt(variance + eps)        t = beta - mean s

Its kept mean and variance are the distribution that the layer was trained on. Against it, live values with moments
``(mean', variance')`` have, per channel,

    shift           z  = (mean' - mean) / sqrt(variance + eps)      in training standard deviations
    ratio           r  = (variance' + eps) / (variance + eps)
    symmetric KL    J  = (r + 1/r - 2 + z^2 (1 + 1/r)) / 2          between the two as Gaussians
    Wasserstein     W2 = z^2 + (sqrt(r) - 1)^2                      squared, in units of the training variance

Source: Ioffe & Szegedy (2015), Algorithm 2, for the map; Schneider et al. (2020) for the use of such distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.moments import Array, Moments

UNOBSERVABLE_BELOW = 1e-3
"""Channels with ``|gamma|`` below this say too little about their input to be scored from the layer's output."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalizationLayer:
    """One normalization layer; every array is float64 of shape ``(channels,)``.

    Attributes:
        name: Qualified name in the network, ``layer1.0.bn1``.
        eps: Added to the variance.
        gamma: Learned scale; ones where the layer learns none.
        beta: Learned shift; zeros where the layer learns none.
        mean: Of the layer's input in training.
        variance: Of the layer's input in training.
    """

    name: str
    eps: float
    gamma: Array
    beta: Array
    mean: Array
    variance: Array

    def __post_init__(self) -> None:
        arrays = {"weight": self.gamma, "bias": self.beta, "running_mean": self.mean, "running_var": self.variance}
        for field, array in arrays.items():
            if array.shape != (self.gamma.size,) or array.size == 0:
                raise ValueError(
                    f"{self.name}.{field}: expected one number a channel, shape ({self.gamma.size},), got {array.shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{self.name}.{field}: expected finite numbers, got NaN or infinity")
        if (self.variance < 0).any():
            raise ValueError(f"{self.name}.running_var: expected no negative variance, got {self.variance.min():g}")
        if not 0 <= self.eps < np.inf or (self.variance + self.eps == 0).any():
            raise ValueError(f"{self.name}.eps: expected running_var + eps above 0 and finite, got eps {self.eps:g}")

    @property
    def channels(self) -> int:
        """How many channels the layer normalizes."""
        return len(self.gamma)

    @property
    def deviation(self) -> Array:
        """What one training standard deviation is, ``sqrt(variance + eps)``."""
        return np.sqrt(self.variance + self.eps)

    @property
    def scale(self) -> Array:
        """The ``s`` of ``y = s x + t``."""
        return self.gamma / self.deviation

    @property
    def shift(self) -> Array:
        """The ``t`` of ``y = s x + t``."""
        return self.beta - self.mean * self.scale

    @property
    def observable(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which channels can be told from the layer's output: where gamma is not near 0."""
        return np.abs(self.gamma) >= UNOBSERVABLE_BELOW


@dataclass(frozen=True, slots=True, eq=False)
class TapMap:
    """What a tap holds, where that is not simply what its layer took or gave: ``scale * that + shift``, a channel each.

    Attributes:
        scale: Float64 of shape ``(channels,)``; 0 in a channel of which the tap tells nothing.
        shift: Float64 of shape ``(channels,)``.
    """

    scale: Array
    shift: Array

    def __post_init__(self) -> None:
        if self.scale.shape != self.shift.shape or self.scale.ndim != 1:
            raise ValueError(f"expected scale and shift of one shape, got {self.scale.shape} and {self.shift.shape}")
        if not (np.isfinite(self.scale).all() and np.isfinite(self.shift).all()):
            raise ValueError("expected finite scale and shift, got NaN or infinity")


@dataclass(frozen=True, slots=True, eq=False)
class Distance:
    """How far live values are from what a layer was trained on; every array of shape ``(channels,)``."""

    shift: Array
    ratio: Array

    @classmethod
    def between(cls, layer: NormalizationLayer, live: Moments) -> Distance:
        """Distance of the moments of a layer's live input from its training statistics."""
        deviation = layer.deviation
        return cls((live.mean - layer.mean) / deviation, (live.variance + layer.eps) / np.square(deviation))

    @property
    def symmetric_kl(self) -> Array:
        """``J``, in nats; infinite where the live variance and eps are 0."""
        with np.errstate(divide="ignore"):
            inverse = (1.0 + np.square(self.shift)) / self.ratio
        return (self.ratio + inverse - 2.0 + np.square(self.shift)) / 2.0

    @property
    def squared_wasserstein(self) -> Array:
        """``W2``, in training variances."""
        return np.square(self.shift) + np.square(np.sqrt(self.ratio) - 1.0)
