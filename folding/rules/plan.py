"""This module collects what a rule wants to change, and changes it only once the whole rule is known to apply.

A rule walks through the graph and may find an obstacle late. So it writes into a plan; a plan that was completed is
carried out, any other is dropped, and the graph never is half folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from folding.rules import values
from folding.rules.affine import Affine, without_repetition
from folding.rules.obstacle import Obstacle
from folding.rules.taps import Taps
from models.moments import Array

FIELDS: Mapping[str, Mapping[int, str]] = {
    "BatchNormalization": {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"},
    "Add": {0: "bias", 1: "bias"},
}
"""What the constant inputs of a node are called, by operator; weight and bias where it is not listed."""


@dataclass(slots=True)
class Plan:
    """Changes to a graph that belong together.

    Attributes:
        taps: Where layers are observed already; what a change does to them is noted there.
        maps: Whether a shift in front of zero padding may become a constant map behind it.
        into: Names of the modules whose weights take the layer in.
    """

    taps: Taps
    maps: bool = False
    into: list[str] = field(default_factory=list)
    _nodes: set[ir.Node] = field(default_factory=set)
    _changed: dict[ir.Value, Affine] = field(default_factory=dict)
    _actions: list[Callable[[], object]] = field(default_factory=list)

    def replace_constants(self, node: ir.Node, arrays: Mapping[int, Array], **attributes: float) -> None:
        """Give a node other constants, by input index, in float64; they are written in the node's own type.

        Raises:
            Obstacle: If they overflow that type, or the plan changes the node already.
        """
        name = values.module_name(node)
        if node in self._nodes:
            raise Obstacle(f"it reaches {name} by two ways")
        self._nodes.add(node)
        written = {}
        for index, array in arrays.items():
            known = node.inputs[index] if index < len(node.inputs) else None
            kind = (known.dtype if known is not None else None) or values.datatype(node)
            written[index] = _written(array, kind, name)
        fields = FIELDS.get(node.op_type, {1: "weight", 2: "bias"})

        def act() -> None:
            node.resize_inputs(max(len(node.inputs), *(index + 1 for index in written)))
            for index, array in written.items():
                node.replace_input_with(index, None)
                node.replace_input_with(index, values.add_initializer(node, f"{name}.{fields[index]}", array))
            for attribute, number in attributes.items():
                node.attributes[attribute] = ir.AttrFloat32(attribute, number)
            node.name = name

        self._actions.append(act)

    def take_in(self, node: ir.Node) -> None:
        """Note that a node's weights take the layer in."""
        name = values.module_name(node)
        if name not in self.into:
            self.into.append(name)

    def change(self, value: ir.Value, affine: Affine) -> None:
        """Note that a tensor will hold ``affine`` of what it holds.

        Raises:
            Obstacle: If that would hide from a layer observed there what it has to see.
        """
        self.taps.refuse_hiding(value, affine)
        self._changed[value] = affine

    def insert(self, value: ir.Value, op_type: str, array: Array, *, name: str) -> None:
        """Put ``op_type(value, array)`` where a node's output is used, the array laid along its axes, batch included.

        Raises:
            Obstacle: If the array overflows the type of the tensor.
        """
        laid = without_repetition(array)[0]  # without the axis of the batch
        constant = _written(laid, value.dtype or ir.DataType.FLOAT, name)
        self.then(lambda: self.taps.move(value, values.insert_after(value, op_type, constant, name=name)))

    def then(self, action: Callable[[], object]) -> None:
        """Do something else, after all that was planned before."""
        self._actions.append(action)

    def carry_out(self) -> None:
        """Change the graph."""
        for value, affine in self._changed.items():
            self.taps.change(value, affine)
        for act in self._actions:
            act()


def _written(array: Array, kind: ir.DataType, name: str) -> NDArray[np.generic]:
    """An array in the type in which it will be written."""
    with np.errstate(over="ignore"):
        written: NDArray[np.generic] = array.astype(kind.numpy())
    if not np.isfinite(written).all():
        raise Obstacle(f"the folded weights of {name} would overflow {kind.name}")
    return written
