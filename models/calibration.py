"""This module scores how far live rows are from what a model's layers see on rows like its training rows.

The row, not the pixel, is what is drawn anew: the positions of an image are alike. So a row gives for each channel two
features, in training deviations: its mean, and its mean square about the training mean. Over held-out rows, the
features of a layer have mean ``m`` and covariance ``C``. The mean features ``f`` of a window of ``n`` rows are then
about normal, and their distance

    T2 = n (f - m)' C^-1 (f - m)

has about the distribution that Hotelling gives it. ``C`` is taken in groups of up to 32 channels, which is what some
hundred rows can tell, and shrunk towards its diagonal. The score is the cube root of T2, which makes it about normal
too, less its mean, over its deviation; both are known by window size, since they were found by drawing windows. So
scores of all layers are alike, and the largest of them has one threshold: beyond it are no more windows of unmoved data
than the rate that it belongs to, however many layers there are.

Source: Hotelling (1931); Ledoit & Wolf (2004) for the shrinkage; Wilson & Hilferty (1931) for the cube root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.moments import Array
from models.observed_rows import Columns
from models.stacked_moments import StackedMoments

GROUP_CHANNELS = 32

Features = NDArray[np.float64]
"""Shape ``(..., 2 columns)`` of a layer: the means of all its channels, then the mean squares."""


def features(mean: Array, variance: Array) -> Features:
    """The features of rows or windows; those of channels that can't be observed are 0.

    Args:
        mean: In training deviations, shape ``(..., channels)``; NaN where a channel can't be observed.
        variance: About that mean, the same shape.
    """
    return np.asarray(np.nan_to_num(np.concatenate([mean, variance + np.square(mean)], axis=-1)))


@dataclass(frozen=True, slots=True, eq=False)
class LayerCalibration:
    """What held-out rows are like at one layer.

    Attributes:
        mean: Of the features, shape ``(2 channels,)``.
        whitening: Of each group, ``C^-1/2``, shape ``(features, features)`` each.
    """

    mean: Array
    whitening: tuple[NDArray[np.float32], ...]

    def whiten(self, found: Features) -> NDArray[np.float32]:
        """Features as independent ones of mean 0 and variance 1, were they those of held-out rows."""
        away = (found - self.mean).astype(np.float32)
        parts = groups(away.shape[-1] // 2)
        return np.concatenate(
            [away[..., part] @ whitening for part, whitening in zip(parts, self.whitening, strict=True)], axis=-1
        )


def groups(channels: int) -> list[NDArray[np.int64]]:
    """The features of each group of a layer's channels."""
    starts = range(0, channels, GROUP_CHANNELS)
    parts = [np.arange(start, min(start + GROUP_CHANNELS, channels)) for start in starts]
    return [np.concatenate([part, part + channels]) for part in parts]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What is known of the scores of windows whose rows are like the training rows.

    Attributes:
        rows: Held-out rows behind it.
        layers: In the manifest's order, then the inputs that have atoms, each a layer of one channel.
        sizes: Rows of the windows that were drawn, ascending.
        expected: Mean of the cube root of each layer's T2, shape ``(sizes, layers)``.
        spread: Its standard deviation, the same shape.
        rates: Shares of windows, descending.
        thresholds: What so many windows' largest score is beyond, shape ``(sizes, rates)``.
    """

    rows: int
    layers: tuple[LayerCalibration, ...]
    sizes: tuple[int, ...]
    expected: Array
    spread: Array
    rates: Array
    thresholds: Array

    @property
    def most_rows(self) -> int:
        """Most rows of a window that can be scored.

        All windows share the error of the features' mean. In windows larger than there are held-out rows that is more
        than chance does to each, and then the rate would hold for networks on the average, and for none.
        """
        return min(self.sizes[-1], self.rows)

    def covers(self, rows: int) -> bool:
        """Whether windows of so many rows can be scored."""
        return self.sizes[0] <= rows <= self.most_rows

    def scores(self, moments: StackedMoments, columns: Columns) -> Array:
        """The score of each layer, then input, shape ``(layers,)``; about 0 with deviation 1 where nothing has moved.

        Args:
            moments: Of as many rows as can be scored.
            columns: Where each layer's channels are.
        """
        variance = moments.variance
        statistics = [
            moments.rows * float(np.square(layer.whiten(features(moments.mean[part], variance[part]))).sum())
            for part, layer in zip(columns.slices, self.layers, strict=True)
        ]
        expected, spread = self._at(moments.rows, self.expected), self._at(moments.rows, self.spread)
        return np.asarray((np.cbrt(statistics) - expected) / spread)

    def threshold(self, rows: int, rate: float) -> float:
        """What the largest score of a window is beyond at a rate of false alarms.

        Args:
            rows: Of the window.
            rate: Share of windows of unmoved data that are to alarm; no less than the least of ``rates``.
        """
        by_rate = self._at(rows, self.thresholds)
        return float(np.interp(-math.log(rate), -np.log(self.rates), by_rate))

    def _at(self, rows: int, by_size: Array) -> Array:
        """Figures for windows of a size, between those of the sizes that were drawn."""
        position = float(np.interp(math.log(rows), np.log(self.sizes), np.arange(len(self.sizes))))
        low = min(int(position), len(self.sizes) - 2)
        share = position - low
        return np.asarray((1 - share) * by_size[low] + share * by_size[low + 1])
