"""This module keeps moments of all that is observed at once, layers and inputs, and merges them exactly.

It does for columns (``observed_rows.py``) what ``moments.py`` does for one layer. Of a row with mean ``m_i`` and
variance ``v_i`` over ``k`` values each, and the mean ``m`` over all rows,

    M2 = sum_i k (v_i + (m_i - m)^2)

Source: as in ``moments.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.layers import NormalizationLayer
from models.moments import Array, Moments
from models.observed_rows import Columns, ObservedRows


@dataclass(frozen=True, slots=True, eq=False)
class StackedMoments:
    """Moments of every column, in training deviations.

    Attributes:
        rows: Behind them.
        count: Values behind each column, float64 of shape ``(columns,)``.
        mean: Shape ``(columns,)``; NaN in columns that can't be observed.
        m2: Sum of squared deviations from the mean, the same shape.
    """

    rows: int
    count: Array
    mean: Array
    m2: Array

    @classmethod
    def empty(cls, columns: int) -> StackedMoments:
        """Of no row at all."""
        return cls(0, np.zeros(columns), np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, rows: ObservedRows) -> StackedMoments:
        """Of some rows."""
        if len(rows) == 0:
            return cls.empty(rows.means.shape[1])
        mean = rows.means.mean(axis=0)
        m2 = rows.values * (rows.variances + np.square(rows.means - mean)).sum(axis=0)
        return cls(len(rows), rows.values.astype(np.float64) * len(rows), mean, m2)

    def merge(self, other: StackedMoments) -> StackedMoments:
        """Of the rows of both."""
        if other.rows == 0:
            return self
        if self.rows == 0:
            return other
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + np.square(delta) * (self.count * other.count / count)
        return StackedMoments(self.rows + other.rows, count, mean, m2)

    @property
    def variance(self) -> Array:
        """Population variance of every column; NaN where nothing was counted."""
        with np.errstate(invalid="ignore"):
            return self.m2 / self.count

    def of_inputs(self, columns: Columns, layers: Sequence[NormalizationLayer]) -> tuple[Moments, ...]:
        """Moments of what each layer took, in its own units; NaN in channels that can't be observed."""
        return tuple(
            Moments(
                int(self.count[part.start]),
                layer.mean + layer.deviation * self.mean[part],
                np.square(layer.deviation) * self.m2[part],
            )
            for part, layer in zip(columns.slices, layers, strict=True)
        )

    @classmethod
    def from_inputs(cls, rows: int, moments: Sequence[Moments], layers: Sequence[NormalizationLayer]) -> StackedMoments:
        """The moments that ``of_inputs`` gave."""
        pairs = list(zip(moments, layers, strict=True))
        return cls(
            rows,
            np.concatenate([np.full(layer.channels, float(one.count)) for one, layer in pairs]),
            np.concatenate([(one.mean - layer.mean) / layer.deviation for one, layer in pairs]),
            np.concatenate([one.m2 / np.square(layer.deviation) for one, layer in pairs]),
        )
