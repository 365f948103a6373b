"""This module keeps where every layer is observed in the folded graph, while folding changes what tensors hold.

A layer that was folded backward is observed at its output, since nothing else of it is left. Any other is observed at
its input, where no channel is lost to a gamma near 0. Where a later fold changes the tensor, the tap follows: the
tensor then holds an affine map of what the layer took or gave, channel by channel, and the map is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.affine import Affine
from folding.rules.obstacle import Obstacle
from folding.rules.passages import LAYOUTS
from models.moments import Array

Side = Literal["input", "output"]

IDENTITY = Affine(np.ones(1), np.zeros(1))


@dataclass(slots=True)
class Tap:
    """Where one layer is observed: ``value`` holds ``held`` of what the layer took or gave."""

    layer: str
    side: Side
    value: ir.Value
    axis: int
    held: Affine

    def map(self, channels: int) -> tuple[Array, Array] | None:
        """Scale and shift of what the tensor holds, ``(channels,)`` each; None where it holds the thing itself.

        Both are 0 in a channel of which the tensor tells nothing: behind a layer that scales it by 0.
        """
        scale, shift = self.held.channels(self.axis, channels)
        if (scale == 1).all() and not shift.any():
            return None
        told = np.isfinite(scale) & (scale != 0)
        return np.where(told, scale, 0.0), np.where(told, shift, 0.0)


class Taps:
    """All taps of a graph, and what every normalization node takes in terms of what torch's layer does."""

    def __init__(self) -> None:
        self.by_layer: dict[str, Tap] = {}
        self._before: dict[ir.Node, Affine] = {}

    def refuse_hiding(self, value: ir.Value, affine: Affine) -> None:
        """Raise Obstacle if a layer could no longer be observed at a tensor that held ``affine`` of what it holds."""
        for tap in self.by_layer.values():
            if tap.value is not value:
                continue
            others = [axis for axis in range(values.rank(value)) if axis != tap.axis]
            if not affine.scale.all() or any(affine.varies_along(axis) for axis in others):
                raise Obstacle(f"it would hide where {tap.layer} is observed")

    def before(self, node: ir.Node) -> Affine:
        """The map that a normalization node took in: from what it takes now to what torch's layer takes."""
        return self._before.get(node, IDENTITY)

    def take_in(self, node: ir.Node, affine: Affine) -> None:
        """Note that a normalization node takes in a map from before it, channels along axis 1."""
        self._before[node] = self.before(node).after(affine)

    def observe_input(self, layer: str, node: ir.Node) -> None:
        """Observe a layer at what its node takes."""
        source = node.inputs[0]
        assert source is not None
        self._observe(layer, "input", source, self.before(node).inverse())

    def observe_output(self, layer: str, value: ir.Value) -> None:
        """Observe a layer at a tensor that is what it gives."""
        self._observe(layer, "output", value, IDENTITY)

    def _observe(self, layer: str, side: Side, value: ir.Value, held: Affine) -> None:
        value, axis = _before_layout(value)
        scale, shift = (array.ravel() for array in np.broadcast_arrays(held.scale, held.shift))
        laid = Affine.of_channels(scale, shift, axis=axis, rank=values.rank(value))
        self.by_layer[layer] = Tap(layer, side, value, axis, laid)

    def change(self, value: ir.Value, affine: Affine) -> None:
        """Note that a tensor now holds ``affine`` of what it held."""
        for tap in self.by_layer.values():
            if tap.value is value:
                tap.held = affine.after(tap.held)

    def move(self, old: ir.Value, new: ir.Value) -> None:
        """Note that ``new`` stands where ``old`` did, and holds what was noted for it."""
        for tap in self.by_layer.values():
            if tap.value is old:
                tap.value = new

    def name_tensors(self, graph: ir.Graph) -> None:
        """Name the observed tensors after their layers; what clients know a tensor by stays.

        A layer's output has the layer's name, its input ``<layer>.input``. Where several layers are observed at one
        tensor, the first one names it; where an input or output has the name already, ``.tap`` is added.
        """
        named: set[ir.Value] = set()
        taken = {value.name for value in (*graph.inputs, *graph.outputs, *graph.initializers.values())}
        for tap in self.by_layer.values():
            if tap.value in named or tap.value.is_graph_output() or tap.value.producer() is None:
                continue
            tap.value.name = next(name for name in _names(tap) if name not in taken)
            taken.add(tap.value.name)
            named.add(tap.value)
        others = [output for node in graph for output in node.outputs if output not in named]
        for number, value in enumerate(
            value for value in others if value.name in taken and not value.is_graph_output()
        ):
            value.name = f"{value.name}.value.{number}"


def _names(tap: Tap) -> Iterator[str]:
    yield tap.layer if tap.side == "output" else f"{tap.layer}.input"
    yield f"{tap.layer}.{tap.side}.tap"
    yield from (f"{tap.layer}.{tap.side}.tap.{number}" for number in itertools.count(2))


def _before_layout(value: ir.Value) -> tuple[ir.Value, int]:
    """The tensor from which a value comes by transposes and reshapes alone, and where its channels lie there.

    Such a node may vanish when the layer behind it does; the values of a channel, and their order, are the same.
    """
    axis = 1
    while (producer := value.producer()) is not None and producer.op_type in LAYOUTS and not producer.domain:
        source = producer.inputs[0]
        assert source is not None
        try:
            found = LAYOUTS[producer.op_type].source_axis(producer, axis)
        except Obstacle:
            break
        value, axis = source, found
    return value, axis
