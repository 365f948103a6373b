"""This module knows the operators that an affine map passes unchanged: ``f(s x + t) = s' f(x) + t'``.

Layouts (a transpose, a reshape) move values about, so the map moves along. Averages commute with any affine map whose
channels they do not mix, ``mean(s x + t) = s mean(x) + t``, unless they count padding, where a shift is missing.
Maxima commute where ``s >= 0``, and a rectifier where ``s > 0`` and ``t = 0``.

A passage goes both ways: ``down`` takes the map from a node's input to its output, ``up`` the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.affine import Affine, reshape
from folding.rules.obstacle import Obstacle
from models.moments import Array


class Passage(Protocol):
    """How affine maps pass an operator."""

    def down(self, node: ir.Node, affine: Affine) -> Affine:
        """The map of the output that a map of the input amounts to; raises Obstacle where there is none."""

    def up(self, node: ir.Node, affine: Affine) -> Affine:
        """The map of the input that amounts to a map of the output; raises Obstacle where there is none."""


class Layout:
    """An operator that moves values about.

    Args:
        lay: Takes a node, an array laid along the axes of one side, and whether that is the input's.
    """

    def __init__(self, lay: Callable[[ir.Node, Array, bool], Array]) -> None:
        self._lay = lay

    def down(self, node: ir.Node, affine: Affine) -> Affine:
        """The same map, laid along the output's axes."""
        return affine.laid(lambda array: self._lay(node, array, True))

    def up(self, node: ir.Node, affine: Affine) -> Affine:
        """The same map, laid along the input's axes."""
        return affine.laid(lambda array: self._lay(node, array, False))

    def source_axis(self, node: ir.Node, axis: int) -> int:
        """Where the channels lie in the input that lie along ``axis`` of the output, the other axes in their order.

        Raises:
            Obstacle: If they lie along several, are not all of an axis, or the order of the others changes.
        """
        source, target = (values.shape(_one(side)) for side in (node.inputs[0], node.outputs[0]))
        size = target[axis]
        if not isinstance(size, int) or size < 2:
            raise Obstacle("one channel can't be followed")
        numbers = np.arange(size, dtype=np.float64).reshape([-1 if i == axis else 1 for i in range(len(target))])
        found = self._lay(node, numbers, False)
        (axes,) = np.nonzero(np.array(found.shape) > 1)
        if len(axes) != 1 or source[axes[0]] != size or not (found.ravel() == numbers.ravel()).all():
            raise Obstacle("the channels lie otherwise there")
        if node.op_type == "Transpose" and (rest := [p for p in _permutation(node) if p != axes[0]]) != sorted(rest):
            raise Obstacle("the order of the other axes changes")
        return int(axes[0])


class Pool:
    """An operator that combines the values of a channel, and no others.

    Args:
        axes: Which axes of the input it combines.
        refuse: Raises Obstacle for a map that does not commute with the combination.
    """

    def __init__(self, axes: Callable[[ir.Node], list[int]], refuse: Callable[[ir.Node, Affine], None]) -> None:
        self._axes = axes
        self._refuse = refuse

    def down(self, node: ir.Node, affine: Affine) -> Affine:
        """The same map; without the combined axes, if they are gone."""
        axes = self._axes(node)
        self._refuse_mixing(node, affine, axes)
        return affine if _keeps_rank(node) else affine.laid(lambda array: array.squeeze(tuple(axes)))

    def up(self, node: ir.Node, affine: Affine) -> Affine:
        """The same map; with the combined axes, if they were gone."""
        axes = self._axes(node)
        before = affine if _keeps_rank(node) else affine.laid(lambda array: np.expand_dims(array, tuple(axes)))
        self._refuse_mixing(node, before, axes)
        return before

    def _refuse_mixing(self, node: ir.Node, affine: Affine, axes: list[int]) -> None:
        if any(affine.varies_along(axis) for axis in axes):
            raise Obstacle(f"{_name(node)} mixes its channels")
        self._refuse(node, affine)


class Elementwise:
    """An operator that commutes with positive scales, value by value."""

    def down(self, node: ir.Node, affine: Affine) -> Affine:
        """The same map, if it is a positive scale."""
        if not affine.keeps_zero:
            raise Obstacle(f"{_name(node)} does not commute with a shift")
        if not (affine.scale > 0).all():
            raise Obstacle(f"{_name(node)} commutes with positive scales alone")
        return affine

    up = down


def _transpose(node: ir.Node, array: Array, forward: bool) -> Array:
    order = _permutation(node)
    return array.transpose(order if forward else np.argsort(order))


def _reshape(node: ir.Node, array: Array, forward: bool) -> Array:
    source, target = (values.shape(_one(side)) for side in (node.inputs[0], node.outputs[0]))
    return reshape(array, source, target) if forward else reshape(array, target, source)


def _permutation(node: ir.Node) -> list[int]:
    reversed_axes = list(range(values.rank(_one(node.inputs[0]))))[::-1]
    return list(node.attributes.get_ints("perm", reversed_axes))


def _spatial_axes(node: ir.Node) -> list[int]:
    return list(range(2, values.rank(_one(node.inputs[0]))))


def _reduced_axes(node: ir.Node) -> list[int]:
    rank = values.rank(_one(node.inputs[0]))
    axes = list(node.attributes.get_ints("axes", []))  # an attribute before opset 18
    if len(node.inputs) > 1:
        axes = values.constant_integers(node.inputs[1]) or []
    if not axes:
        raise Obstacle(f"the axes of {_name(node)} are computed")
    return sorted(axis % rank for axis in axes)


def _any(node: ir.Node, affine: Affine) -> None:
    del node, affine


def _unless_padding_counts(node: ir.Node, affine: Affine) -> None:
    pads = any(node.attributes.get_ints("pads", [])) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    counts = node.attributes.get_int("count_include_pad", 0) == 1
    # with ceil_mode the last window may reach over the edge, and runtimes disagree on whether that counts
    if not affine.keeps_zero and counts and (pads or node.attributes.get_int("ceil_mode", 0) == 1):
        raise Obstacle(f"{_name(node)} counts its padding, where a shift would be missing")


def _no_negative_scale(node: ir.Node, affine: Affine) -> None:
    if (affine.scale < 0).any():
        raise Obstacle(f"{_name(node)} commutes with no negative scale")


def _interpolation(node: ir.Node, affine: Affine) -> None:
    del affine
    source, target = (values.shape(_one(side)) for side in (node.inputs[0], node.outputs[0]))
    if source[1] != target[1]:
        raise Obstacle(f"{_name(node)} interpolates between channels")
    mode = node.attributes.get_string("mode", "nearest")
    if (
        mode not in ("nearest", "linear")
        or node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    ):
        raise Obstacle(f"{_name(node)} does not interpolate by weights that are known to sum to 1")


def _name(node: ir.Node) -> str:
    return f"{values.module_name(node)} ({node.op_type})"


def _one(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value


def _keeps_rank(node: ir.Node) -> bool:
    return not node.op_type.startswith("Reduce") or node.attributes.get_int("keepdims", 1) == 1


LAYOUTS: Mapping[str, Layout] = {
    "Transpose": Layout(_transpose),
    **{name: Layout(_reshape) for name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")},
}

PASSAGES: Mapping[str, Passage] = {
    **LAYOUTS,
    "AveragePool": Pool(_spatial_axes, _unless_padding_counts),
    "GlobalAveragePool": Pool(_spatial_axes, _any),
    "ReduceMean": Pool(_reduced_axes, _any),
    "MaxPool": Pool(_spatial_axes, _no_negative_scale),
    "GlobalMaxPool": Pool(_spatial_axes, _no_negative_scale),
    "ReduceMax": Pool(_reduced_axes, _no_negative_scale),
    "Resize": Pool(_spatial_axes, _interpolation),
    "Relu": Elementwise(),
    "LeakyRelu": Elementwise(),
}
"""Every operator that maps pass, by its name in the default domain."""


def passage(node: ir.Node) -> Passage:
    """How maps pass a node.

    Raises:
        Obstacle: If none does.
    """
    further = any(output.uses() or output.is_graph_output() for output in node.outputs[1:])
    if node.domain or node.op_type not in PASSAGES or further:
        raise Obstacle(f"{_name(node)} is not affine in its input")
    return PASSAGES[node.op_type]
