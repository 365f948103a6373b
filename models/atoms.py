"""This module is what a bundle keeps of values that its inputs take again and again: a black ground, a missing figure.

Such a value is an atom of an input's distribution, in the words of probability. Leaving it by little moves means and
variances by next to nothing, at the input and at every layer behind it: images that are blurred by a third of a pixel,
or resized by another filter. How many of a row's values are at their channel's atom tells it at once. So this share,
one figure a row, is observed as a layer's channel is, and its mean and variance over held-out rows are its reference.

    <input>/channels      which indices of the input's second axis have an atom, int64 of shape (channels,)
    <input>/values        the atom of each, float64 of shape (channels,)
    <input>/tolerances    what is nearer to it is at it, but for rounding; the same shape
    <input>/share         mean of the rows' shares, and
    <input>/variance      their variance, float64 of shape ()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.layers import NormalizationLayer
from models.manifest import TensorRecord
from models.moments import Array

EPS = 1e-8
"""Added to the variance of a share; one that never differed is compared as if its deviation were a ten-thousandth."""

Archive = Mapping[str, NDArray[Any]]
"""Arrays by their names in the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """The atoms of one input, and what share of a row's values is at them.

    Attributes:
        input: Its name.
        channels: Which indices of its second axis have one, ascending; int64 of shape ``(channels,)``.
        values: The atom of each, shape ``(channels,)``.
        tolerances: What is nearer to the atom is at it; the same shape.
        share: Mean of the shares of held-out rows.
        variance: Of those shares about it.
    """

    input: str
    channels: NDArray[np.int64]
    values: Array
    tolerances: Array
    share: float
    variance: float

    @property
    def reference(self) -> NormalizationLayer:
        """The share as a channel that a normalization layer would take, named after the input."""
        return NormalizationLayer(
            self.input, EPS, np.ones(1), np.zeros(1), np.array([self.share]), np.array([self.variance])
        )


def watched(layers: Sequence[NormalizationLayer], atoms: Sequence[Atoms]) -> tuple[NormalizationLayer, ...]:
    """All that a probe tells of, in its order: the normalization layers, then the inputs that have atoms."""
    return (*layers, *(one.reference for one in atoms))


def atoms_to_arrays(atoms: Sequence[Atoms]) -> dict[str, NDArray[Any]]:
    """Everything of them, by the names in the file."""
    return {
        f"{one.input}/{field}": np.asarray(getattr(one, field))
        for one in atoms
        for field in ("channels", "values", "tolerances", "share", "variance")
    }


def atoms_from_arrays(archive: Archive, inputs: Sequence[TensorRecord]) -> tuple[Atoms, ...]:
    """The atoms that gave these arrays, in the order of the inputs.

    Raises:
        ValueError: If an array is missing, unknown, or not what it should be.
    """
    left = dict(archive)
    found = tuple(
        _take_atoms(left, record) for record in inputs if any(key.rpartition("/")[0] == record.name for key in archive)
    )
    if left:
        raise ValueError(f"{min(left)}: this array is not known")
    return found


def _take_atoms(left: dict[str, NDArray[Any]], record: TensorRecord) -> Atoms:
    def take(field: str, dtype: type, shape: tuple[int, ...] | None) -> NDArray[Any]:
        name = f"{record.name}/{field}"
        if name not in left:
            raise ValueError(f"expected an array {name!r}, got none")
        array = left.pop(name)
        if array.dtype != dtype or (array.shape != shape if shape is not None else array.ndim != 1 or not array.size):
            raise ValueError(
                f"{name}: expected {np.dtype(dtype)} of shape {shape or '(channels,)'}, "
                f"got {array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        return array

    channels = take("channels", np.int64, None)
    size = max(0, record.shape[1]) if len(record.shape) > 1 else 0
    if (np.diff(channels) <= 0).any() or channels[0] < 0 or channels[-1] >= size:
        raise ValueError(f"{record.name}/channels: expected some of {size}, ascending from 0, got {channels.tolist()}")
    found = Atoms(
        input=record.name,
        channels=channels,
        values=take("values", np.float64, channels.shape),
        tolerances=take("tolerances", np.float64, channels.shape),
        share=float(take("share", np.float64, ())),
        variance=float(take("variance", np.float64, ())),
    )
    if (found.tolerances <= 0).any() or found.variance < 0 or not 0 <= found.share <= 1:
        raise ValueError(f"{record.name}: expected tolerances above 0, a share from 0 to 1, and no negative variance")
    return found
