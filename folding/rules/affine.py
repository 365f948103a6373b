"""This module is the arithmetic of folding: affine maps laid along the axes of a tensor, in float64.

At inference a normalization layer is ``y = s x + t`` with one ``s`` and one ``t`` a channel. Between the layer and the
weights that take it in, a tensor may be transposed, reshaped, pooled or joined with others, so a map is kept as two
arrays of the tensor's own rank, of size 1 along every axis over which it does not vary. The first axis is the batch,
over which none ever does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from folding.rules.obstacle import Obstacle
from models.moments import Array

Shape = Sequence[int | str]
"""Sizes of a tensor; a text is a size that varies, the same text always the same size."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """The map ``scale * x + shift``, both arrays of the rank of ``x``."""

    scale: Array
    shift: Array

    @classmethod
    def of_channels(cls, scale: Array, shift: Array, *, axis: int, rank: int) -> Affine:
        """A map that varies over one axis alone; ``scale`` and ``shift`` have shape ``(channels,)``."""
        shape = [1] * rank
        shape[axis] = -1
        return cls(scale.reshape(shape), shift.reshape(shape))

    def after(self, first: Affine) -> Affine:
        """What this map makes of another's result, as one map."""
        return Affine(self.scale * first.scale, self.scale * first.shift + self.shift)

    def inverse(self) -> Affine:
        """The map back; not a number where the scale is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(self.scale == 0, np.nan, 1.0 / self.scale)
        return Affine(scale, -self.shift * scale)

    def laid(self, layout: Callable[[Array], Array]) -> Affine:
        """The same map, its arrays laid out anew."""
        return Affine(layout(self.scale), layout(self.shift))

    def only_scale(self) -> Affine:
        """This map without its shift."""
        return Affine(self.scale, np.zeros_like(self.shift))

    def only_shift(self) -> Affine:
        """This map without its scale."""
        return Affine(np.ones_like(self.scale), self.shift)

    @property
    def keeps_zero(self) -> bool:
        """Whether it only scales."""
        return not np.any(self.shift)

    @property
    def keeps_size(self) -> bool:
        """Whether it only shifts."""
        return bool(np.all(self.scale == 1))

    def varies_along(self, axis: int) -> bool:
        """Whether scale or shift differ along an axis."""
        return any(array.shape[axis] > 1 for array in (self.scale, self.shift))

    def channels(self, axis: int, size: int) -> tuple[Array, Array]:
        """Scale and shift of shape ``(size,)`` where they vary along one axis alone.

        Raises:
            Obstacle: If they vary along another.
        """
        rank = self.scale.ndim
        if any(self.varies_along(other) for other in range(rank) if other != axis % rank):
            raise Obstacle("its channels lie along another axis than the weights' channels")
        return np.broadcast_to(self.scale.ravel(), size), np.broadcast_to(self.shift.ravel(), size)


def reshape(array: Array, source: Shape, target: Shape) -> Array:
    """Lay an array along the axes that a tensor of shape ``source`` has once it is reshaped to ``target``.

    Raises:
        Obstacle: If the array varies over an axis that can't be told from others in the target.
    """
    start = 0
    while start < min(len(source), len(target)) and source[start] == target[start]:
        start += 1
    groups = [(slice(i, i + 1), slice(i, i + 1)) for i in range(start)]
    end, target_end = len(source), len(target)
    while group := _last_group(source[start:end], target[start:target_end]):
        groups.append((slice(end - group[0], end), slice(target_end - group[1], target_end)))
        end, target_end = end - group[0], target_end - group[1]
    groups.append((slice(start, end), slice(start, target_end)))
    for old, new in groups:
        if all(size == 1 for size in array.shape[old]):
            continue
        if array.size != np.prod(array.shape[old]) or any(isinstance(n, str) for n in (*source[old], *target[new])):
            raise Obstacle("a reshape mixes its channels with other axes")
        whole = np.broadcast_to(array.reshape(array.shape[old]), [int(size) for size in source[old]])
        laid = without_repetition(whole.reshape([int(size) for size in target[new]]))
        return laid.reshape([1] * new.start + list(laid.shape) + [1] * (len(target) - new.stop))
    return array.reshape([1] * len(target))


def _last_group(source: Shape, target: Shape) -> tuple[int, int] | None:
    """How many of the last axes of two shapes hold the same values, as few as possible; None if that can't be told."""
    if not source or not target or isinstance(source[-1], str) or isinstance(target[-1], str):
        return None
    taken = [1, 1]
    products = [source[-1], target[-1]]
    while products[0] != products[1]:
        smaller = 0 if products[0] < products[1] else 1
        shape = (source, target)[smaller]
        if taken[smaller] == len(shape) or isinstance(size := shape[-taken[smaller] - 1], str):
            return None
        products[smaller] *= size
        taken[smaller] += 1
    return taken[0], taken[1]


def without_repetition(array: Array) -> Array:
    """The array with size 1 along every axis over which it does not vary."""
    for axis in range(array.ndim):
        first = array.take([0], axis=axis)
        if (array == first).all():
            array = first
    return array
