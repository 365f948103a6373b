"""This module moves a layer's map down the graph, into the weights of whatever reads its output.

``W (s x + t) + b`` is ``(W s) x + (b + W t)``. On the way down the map passes pools and layouts, widens where its
tensor is joined with others, and a shift alone passes a sum: ``(x + t) + y = (x + y) + t``. Exact wherever every reader
can take the map in.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.affine import Affine
from folding.rules.backward import with_axes_of
from folding.rules.obstacle import Obstacle
from folding.rules.passages import passage
from folding.rules.plan import Plan
from folding.rules.weights import weighted
from models.moments import Array


def push_down(plan: Plan, value: ir.Value, affine: Affine) -> None:
    """Plan that a tensor need not be mapped by ``affine``, because all that read it do so themselves.

    Raises:
        Obstacle: If one of them can't, or the tensor is an output.
    """
    if value.is_graph_output():
        raise Obstacle("it is an output of the network")
    for node, index in values.consumers(value):
        _push_into(plan, node, index, affine)


def _push_into(plan: Plan, node: ir.Node, index: int, affine: Affine) -> None:
    output = node.outputs[0]
    name = values.describe(output)
    if (operator := weighted(node)) is not None:
        if index != 0:
            raise Obstacle(f"it is a weight of {name}")
        operator.fold_input(plan, node, affine)
    elif node.op_type == "Concat" and not node.domain:
        push_down(plan, output, _widened(node, index, affine))
    elif node.op_type == "Add" and not node.domain:
        _push_through_sum(plan, node, index, affine)
    elif index != 0:
        raise Obstacle(f"it is a parameter of {name}")
    else:
        push_down(plan, output, passage(node).down(node, affine))


def _widened(node: ir.Node, index: int, affine: Affine) -> Affine:
    """The map of a joined tensor, of which one branch is mapped and the others are not."""
    axis = node.attributes.get_int("axis", 1) % values.rank(node.outputs[0])
    branches = [value for value in node.inputs if value is not None]
    sizes = [values.shape(branch)[axis] for branch in branches]
    if any(isinstance(size, str) for size in sizes):
        raise Obstacle("how long the branches are that it is joined with is not known")
    before, own, behind = (int(sum(map(int, part))) for part in (sizes[:index], [sizes[index]], sizes[index + 1 :]))

    def widen(array: Array, fill: float) -> Array:
        whole = array if array.shape[axis] > 1 else array.repeat(own, axis=axis)
        widths = [(before, behind) if i == axis else (0, 0) for i in range(array.ndim)]
        return np.pad(whole, widths, constant_values=fill)

    return Affine(widen(affine.scale, 1.0), widen(affine.shift, 0.0))


def _push_through_sum(plan: Plan, node: ir.Node, index: int, affine: Affine) -> None:
    output, other = node.outputs[0], node.inputs[1 - index]
    if values.rank(output) != affine.scale.ndim:
        raise Obstacle(f"{values.describe(output)} adds something with more axes")
    constant = values.constant(other)
    if constant is not None:
        # (s x + t) + c: the constant goes down with the shift, and leaves a sum with zeros, which is nothing
        plan.replace_constants(node, {1 - index: np.zeros_like(constant)})
        push_down(plan, output, Affine(affine.scale, affine.shift + with_axes_of(output, constant)))
    elif affine.keeps_size:
        push_down(plan, output, affine)
    else:
        raise Obstacle(f"{values.describe(output)} adds something that is not scaled with it")
