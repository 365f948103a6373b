"""This module corrupts images in six ways, each in five strengths, of which the first is barely to be seen.

A corruption is the same for all rows, as that of a camera that is out of focus or hangs askew; only noise differs from
pixel to pixel. The kinds follow ImageNet-C, the strengths are made for 28x28 digits.

Source: Hendrycks & Dietterich (2019), "Benchmarking neural network robustness to common corruptions and perturbations".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from benchmarks.drift.data import Pixels


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way in which images are corrupted.

    Attributes:
        name: As it is called in tables.
        unit: What a strength is.
        strengths: Five, each worse than the one before.
        corrupt: Takes images, a strength and where chance comes from; may leave the range from 0 to 1.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    corrupt: Callable[[Pixels, float, np.random.Generator], Pixels]

    def apply(self, pixels: Pixels, level: int, *, seed: int = 0) -> Pixels:
        """Corrupted images, from 0 to 1, of the same shape; the same for the same seed.

        Args:
            pixels: Shape ``(rows, 1, height, width)``, from 0 to 1.
            level: From 1, the mildest, to 5.
            seed: Of whatever is random.
        """
        corrupted = self.corrupt(pixels, self.strengths[level - 1], np.random.default_rng(seed))
        return np.clip(corrupted, 0, 1).astype(np.float32)


def _noise(pixels: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    return pixels + np.float32(deviation) * random.standard_normal(pixels.shape, np.float32)


def _blur(pixels: Pixels, deviation: float, _random: np.random.Generator) -> Pixels:
    return np.asarray(ndimage.gaussian_filter(pixels, (0, 0, deviation, deviation)))


def _contrast(pixels: Pixels, factor: float, _random: np.random.Generator) -> Pixels:
    """Each image is drawn towards its own mean, as in ImageNet-C."""
    mean = pixels.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(mean + np.float32(factor) * (pixels - mean))


def _brightness(pixels: Pixels, added: float, _random: np.random.Generator) -> Pixels:
    return pixels + np.float32(added)


def _rotation(pixels: Pixels, degrees: float, _random: np.random.Generator) -> Pixels:
    return np.asarray(ndimage.rotate(pixels, degrees, axes=(2, 3), reshape=False, order=1))


def _shift(pixels: Pixels, distance: float, _random: np.random.Generator) -> Pixels:
    """Down and to the right; what comes in is black."""
    return np.asarray(ndimage.shift(pixels, (0, 0, distance, distance), order=1))


_ALL = (
    Corruption("noise", "standard deviation", (0.02, 0.05, 0.1, 0.2, 0.4), _noise),
    Corruption("blur", "standard deviation, pixels", (0.3, 0.6, 0.8, 1.1, 1.5), _blur),
    Corruption("contrast", "factor", (0.97, 0.85, 0.7, 0.5, 0.3), _contrast),
    Corruption("brightness", "added", (0.01, 0.02, 0.05, 0.1, 0.2), _brightness),
    Corruption("rotation", "degrees", (3, 10, 20, 30, 45), _rotation),
    Corruption("shift", "pixels, down and right", (0.25, 1, 2, 4, 6), _shift),
)

CORRUPTIONS: Mapping[str, Corruption] = {corruption.name: corruption for corruption in _ALL}

LEVELS = (1, 2, 3, 4, 5)
