"""This module accumulates count, mean and sum of squared deviations per channel, and merges them exactly.

Two sets of rows with moments ``(n_a, m_a, M2_a)`` and ``(n_b, m_b, M2_b)`` have together, with ``d = m_b - m_a``,

    n = n_a + n_b        m = m_a + d n_b / n        M2 = M2_a + M2_b + d^2 n_a n_b / n

so that any split of the rows into batches, windows or processes gives the same moments.

Source: Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance", equation 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Moments of ``count`` values in each of ``channels`` channels.

    Attributes:
        count: Values behind each channel; for images that is rows x height x width.
        mean: Shape ``(channels,)``.
        m2: Sum of squared deviations from the mean, shape ``(channels,)``.
    """

    count: int
    mean: Array
    m2: Array

    @classmethod
    def empty(cls, channels: int) -> Moments:
        """Moments of no value at all: what ``merge`` leaves unchanged."""
        return cls(0, np.zeros(channels), np.zeros(channels))

    @classmethod
    def of(cls, values: NDArray[Any], *, channel_axis: int) -> Moments:
        """Moments of an array, over every axis but ``channel_axis``; computed in float64.

        Raises:
            ValueError: If the array has no such axis.
        """
        if not -values.ndim <= channel_axis < values.ndim:
            raise ValueError(f"channel_axis: expected an axis of an array of {values.ndim} axes, got {channel_axis}")
        channels = values.shape[channel_axis]
        by_channel = np.moveaxis(values, channel_axis, 0).reshape(channels, -1).astype(np.float64)
        if by_channel.shape[1] == 0:
            return cls.empty(channels)
        with np.errstate(invalid="ignore"):  # NaN is what the moments of infinite values are
            mean = by_channel.mean(axis=1)
            return cls(by_channel.shape[1], mean, np.square(by_channel - mean[:, None]).sum(axis=1))

    def merge(self, other: Moments) -> Moments:
        """Moments of the values of both.

        Raises:
            ValueError: If the two have different numbers of channels.
        """
        if self.channels != other.channels:
            raise ValueError(f"moments to merge: expected {self.channels} channels, got {other.channels}")
        if other.count == 0:
            return self
        if self.count == 0:
            return other
        count = self.count + other.count
        with np.errstate(invalid="ignore"):
            delta = other.mean - self.mean
            mean = self.mean + delta * (other.count / count)
            m2 = self.m2 + other.m2 + np.square(delta) * (self.count * other.count / count)
        return Moments(count, mean, m2)

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return len(self.mean)

    @property
    def variance(self) -> Array:
        """Population variance, ``M2 / n``, shape ``(channels,)``; NaN where nothing was counted."""
        return self.m2 / self.count if self.count else np.full(self.channels, np.nan)
