"""This module reads and rewires the values and nodes of a graph."""

from __future__ import annotations

import ast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from folding.rules.affine import Shape
from folding.rules.obstacle import Obstacle
from models.moments import Array

SCOPES = "pkg.torch.onnx.name_scopes"


def scopes(node: ir.Node) -> list[str]:
    """The modules around a node, from the network to the node itself, as torch writes them; empty where it did not."""
    try:
        found = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    except (ValueError, SyntaxError):  # somebody else's, in a file made elsewhere
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def module_name(node: ir.Node) -> str:
    """Qualified name of the module that a node came from; the node's own name where the graph does not say."""
    modules = scopes(node)
    return modules[-2] if len(modules) > 2 else str(node.name or node.outputs[0].name)


def describe(value: ir.Value) -> str:
    """What a tensor is, for people: ``conv1 (Conv)``, or the name of an input."""
    producer = value.producer()
    return f"the input {value.name}" if producer is None else f"{module_name(producer)} ({producer.op_type})"


def constant(value: ir.Value | None) -> Array | None:
    """A value's numbers in float64, or None where they are not known before the graph runs."""
    numbers = _numbers(value)
    return None if numbers is None else numbers.astype(np.float64)


def constant_integers(value: ir.Value | None) -> list[int] | None:
    """A value's whole numbers, or None where they are not known before the graph runs."""
    numbers = _numbers(value)
    return None if numbers is None else [int(number) for number in numbers.ravel()]


def datatype(node: ir.Node) -> ir.DataType:
    """The type in which a node computes: that of its first constant, or of what it takes."""
    for value in (*node.inputs[1:], node.inputs[0]):
        if value is not None and value.dtype is not None:
            return value.dtype
    return ir.DataType.FLOAT


def shape(value: ir.Value) -> Shape:
    """A tensor's shape.

    Raises:
        Obstacle: If the graph does not say how many axes it has.
    """
    if value.shape is None:
        raise Obstacle(f"how many axes {describe(value)} has is not known")
    sizes = enumerate(value.shape)
    # a size without a name is like no other
    return [size if isinstance(size, int) else size.value or f"{value.name}[{axis}]" for axis, size in sizes]


def rank(value: ir.Value) -> int:
    """How many axes a tensor has, the batch included."""
    return len(shape(value))


def consumers(value: ir.Value) -> list[tuple[ir.Node, int]]:
    """The nodes that read a tensor's values, and at which of their inputs; not those that read its shape alone."""
    return [(use.node, use.idx) for use in value.uses() if use.node.op_type not in ("Shape", "Size")]


def only_consumer(value: ir.Value) -> tuple[ir.Node, int] | None:
    """The one node that reads a tensor; None if there are more, or it is an output too."""
    uses = consumers(value)
    return uses[0] if len(uses) == 1 and not value.is_graph_output() else None


def add_initializer(node: ir.Node, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Register a tensor under a name; an old bearer that is still used keeps it, and the new one is numbered."""
    graph = _main_graph(node)
    free, number = name, 1
    while (taken := graph.initializers.get(free)) is not None and (taken.uses() or taken.is_graph_output()):
        number += 1
        free = f"{name}.{number}"
    graph.initializers.pop(free, None)
    value = ir.Value(name=free, const_value=ir.tensor(array, name=free))
    value.shape = ir.Shape(array.shape)
    value.dtype = ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


def take_over(old: ir.Value, new: ir.Value) -> None:
    """Let ``new`` stand wherever ``old`` did, under its name if that is one that clients see."""
    is_output, name = old.is_graph_output(), old.name
    new.shape, new.type = old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if is_output:
        old.name, new.name = f"{name}.before", name


def bridge(node: ir.Node) -> None:
    """Take a node out: what it takes stands wherever what it gives did."""
    source = node.inputs[0]
    assert source is not None
    assert node.graph is not None
    take_over(node.outputs[0], source)
    node.graph.remove(node, safe=True)


def insert_after(value: ir.Value, op_type: str, array: NDArray[np.generic], *, name: str) -> ir.Value:
    """Put ``op_type(value, array)`` where a node's output was used.

    Returns:
        The new node's output.
    """
    producer = value.producer()
    assert producer is not None
    node = ir.Node("", op_type, [None, None], name=name)
    result = node.outputs[0]
    result.name = f"{name}.{op_type.lower()}"
    take_over(value, result)
    field = {"Add": "bias", "Mul": "weight"}.get(op_type, "bound")
    _main_graph(producer).insert_after(producer, node)
    node.replace_input_with(0, value)
    node.replace_input_with(1, add_initializer(node, f"{name}.{field}", array))
    return result


def _numbers(value: ir.Value | None) -> NDArray[np.generic] | None:
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        return None
    numbers: NDArray[np.generic] = tensor.numpy()
    return numbers


def _main_graph(node: ir.Node) -> ir.Graph:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph
