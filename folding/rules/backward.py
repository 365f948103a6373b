"""This module moves a layer's map up the graph, to the weights that its input comes from.

``W x + b`` followed by ``s y + t`` is ``(s W) x + (s b + t)``. On the way up the map passes pools and layouts, splits
where branches are joined, and goes into every term of a sum: ``s (a + b) + t = (s a + t) + (s b)``. Exact wherever
nothing else reads the tensors on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.affine import Affine
from folding.rules.obstacle import Obstacle
from folding.rules.passages import passage
from folding.rules.plan import Plan
from folding.rules.weights import weighted
from models.moments import Array


def push_up(plan: Plan, value: ir.Value, affine: Affine) -> None:
    """Plan that a tensor will hold ``affine`` of what it holds, by changing weights before it.

    Raises:
        Obstacle: If that can't be done without changing anything else.
    """
    producer = value.producer()
    if producer is None:
        raise Obstacle("no weights come before it")
    name = values.module_name(producer)
    if values.only_consumer(value) is None:
        raise Obstacle(f"the output of {name} is also used without normalization")
    plan.change(value, affine)
    if (operator := weighted(producer)) is not None:
        operator.fold_output(plan, producer, affine)
    elif producer.op_type == "Concat" and not producer.domain:
        _push_up_branches(plan, producer, affine)
    elif producer.op_type == "Add" and not producer.domain:
        _push_up_terms(plan, producer, affine)
    else:
        before = passage(producer).up(producer, affine)
        source = producer.inputs[0]
        assert source is not None
        push_up(plan, source, before)


def _push_up_branches(plan: Plan, node: ir.Node, affine: Affine) -> None:
    branches = [value for value in node.inputs if value is not None]
    axis = node.attributes.get_int("axis", 1) % values.rank(node.outputs[0])
    start = 0
    for branch, size in zip(branches, joined_sizes(branches, axis, affine), strict=True):
        stop = start + size
        push_up(plan, branch, affine.laid(lambda array, cut=slice(start, stop): _cut(array, axis, cut)))  # type: ignore[misc]
        start = stop


def _cut(array: Array, axis: int, cut: slice) -> Array:
    return array if array.shape[axis] == 1 else array.take(range(cut.start, cut.stop), axis=axis)


def joined_sizes(branches: Sequence[ir.Value], axis: int, affine: Affine) -> list[int]:
    """How many entries of the joined axis each branch has; they only matter where the map varies along it.

    Raises:
        Obstacle: If it does and they are not known.
    """
    sizes = [values.shape(branch)[axis] for branch in branches]
    if not affine.varies_along(axis):
        return [0] * len(sizes)
    if any(isinstance(size, str) for size in sizes):
        raise Obstacle("how long the joined branches are is not known")
    return [int(size) for size in sizes]


def _push_up_terms(plan: Plan, node: ir.Node, affine: Affine) -> None:
    """``s (a + b) + t``: the shift goes into one term, the scale into both; where one is constant, the shift too."""
    left, right = node.inputs
    assert left is not None
    assert right is not None
    for index, (term, other) in enumerate(((right, left), (left, right))):
        constant = values.constant(term)
        if constant is not None:
            aligned = with_axes_of(node.outputs[0], constant)
            plan.replace_constants(node, {1 - index: _trimmed(affine.scale * aligned + affine.shift, constant.ndim)})
            _refuse_broadcast(node, other)
            push_up(plan, other, affine.only_scale())
            return
    for term in (left, right):
        _refuse_broadcast(node, term)
    push_up(plan, left, affine)
    push_up(plan, right, affine.only_scale())


def with_axes_of(output: ir.Value, constant: Array) -> Array:
    """A constant that is added to give a tensor, with as many axes as that has."""
    return constant.reshape([1] * (values.rank(output) - constant.ndim) + list(constant.shape))


def _trimmed(array: Array, rank: int) -> Array:
    """Without leading axes of size 1, but at least ``rank`` axes."""
    while array.ndim > max(rank, 1) and array.shape[0] == 1:
        array = array[0]
    return np.asarray(array)


def _refuse_broadcast(node: ir.Node, term: ir.Value) -> None:
    if list(values.shape(term)) != list(values.shape(node.outputs[0])):
        raise Obstacle(f"{values.describe(node.outputs[0])} repeats one of its terms")
