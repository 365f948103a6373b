"""This module is what a probe tells of rows: for every row, what each channel of each normalization layer held.

The channels of all layers lie side by side as *columns*, in the order of the manifest, so that whatever is done to
them is done at once. Behind them is a column for each input that has atoms (``atoms.py``), which is read like a layer
of one channel. A figure of a row is over all positions of that row: the mean, and the variance about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.atoms import Atoms
from models.layers import NormalizationLayer, TapMap
from models.manifest import LayerRecord
from models.moments import Array
from models.taps import TapUnits

PROBE_OUTPUTS = ("normalization_probe/means", "normalization_probe/variances", "normalization_probe/values")
"""What a probe adds to the outputs of a graph: two of float32 ``(rows, columns)``, and int64 ``(layers,)``, which says
over how many values of a row the figures of each layer are. Where inputs have atoms, these count as layers here."""


@dataclass(frozen=True, slots=True, eq=False)
class ObservedRows:
    """Rows in training deviations: 0 is the training mean, and a variance of 1 the training variance and eps.

    Attributes:
        means: Float64 of shape ``(rows, columns)``; NaN in columns that can't be observed.
        variances: Of the values of a row about its own mean; the same shape.
        values: Values of a row behind each figure, int64 of shape ``(columns,)``.
        not_finite: Rows that are left out, since they were NaN or infinite somewhere.
    """

    means: Array
    variances: Array
    values: NDArray[np.int64]
    not_finite: int

    def __len__(self) -> int:
        return len(self.means)

    def part(self, start: int, stop: int) -> ObservedRows:
        """Some of the rows; those that are left out belong to the part that begins at 0."""
        return ObservedRows(
            self.means[start:stop], self.variances[start:stop], self.values, self.not_finite if start == 0 else 0
        )


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Where the channels of each layer lie, and how to read what is found there.

    Attributes:
        slices: Of each layer, then of each input that has atoms.
        center: Of the taps' units, over all columns.
        scale: Of the taps' units, over all columns; NaN in those that can't be observed.
        num_inputs: So many of the slices, the last ones, are of inputs.
    """

    slices: tuple[slice, ...]
    center: Array
    scale: Array
    num_inputs: int = 0

    @classmethod
    def of(
        cls,
        records: Sequence[LayerRecord],
        layers: Sequence[NormalizationLayer],
        tap_maps: Mapping[str, TapMap],
        atoms: Sequence[Atoms] = (),
    ) -> Columns:
        """The columns of a bundle's layers, of which there is at least one, and of its inputs that have atoms."""
        units = [
            TapUnits.of(layer, record.tap.side, tap_maps.get(record.name))
            for record, layer in zip(records, layers, strict=True)
        ]
        units += [TapUnits.of(one.reference, "input", None) for one in atoms]
        bounds = itertools.pairwise(itertools.accumulate((len(unit.center) for unit in units), initial=0))
        return cls(
            tuple(slice(start, stop) for start, stop in bounds),
            np.concatenate([unit.center for unit in units]),
            np.concatenate([unit.scale for unit in units]),
            num_inputs=len(atoms),
        )

    def __len__(self) -> int:
        return len(self.center)

    @property
    def observable(self) -> NDArray[np.bool_]:
        """Which can be observed."""
        return np.isfinite(self.scale)

    def read(self, means: NDArray[Any], variances: NDArray[Any], values: NDArray[Any]) -> ObservedRows:
        """What a probe's outputs say.

        Args:
            means: The first of ``PROBE_OUTPUTS``, ``(rows, columns)``, at least one row.
            variances: The second.
            values: The third.
        """
        per_row = np.repeat(values, [part.stop - part.start for part in self.slices])
        finite = np.isfinite(means).all(axis=1) & np.isfinite(variances).all(axis=1)
        left_out = len(finite) - int(finite.sum())
        if left_out:
            means, variances = means[finite], variances[finite]
        # a probe takes it as a difference, which rounds below 0 where all values of a row are one
        variances = np.maximum(variances, 0)
        return ObservedRows((means - self.center) / self.scale, variances / np.square(self.scale), per_row, left_out)

    def gather(self, runs: Sequence[ObservedRows]) -> ObservedRows:
        """The rows of several runs whose figures are over equally many values."""
        first = runs[0]
        return ObservedRows(
            np.concatenate([run.means for run in runs]),
            np.concatenate([run.variances for run in runs]),
            first.values,
            sum(run.not_finite for run in runs),
        )
