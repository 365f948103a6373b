"""This module folds a normalization layer into the convolution or linear layer before it.

Exact wherever the layer's input is that layer's output and nothing else reads it, see ``affine.py``. Weights that
another node uses too are copied first: folding must not change what the other computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from models.moments import Array
from training.folding.affine import fold_bias, scale_output, scale_transposed_output
from training.folding.sites import Folded, Obstacle, Site, constant, module_name


def fold_backward(site: Site) -> Folded | Obstacle:
    """Fold a layer into the one before it."""
    producer = site.input.producer()
    if producer is None:
        return Obstacle("It normalizes an input of the network; no weights come before it.")
    before = module_name(producer)
    if producer.op_type not in SCALINGS or producer.domain:
        return Obstacle(
            f"It follows {before} ({producer.op_type}), which is neither a convolution nor a linear layer on rows."
        )
    if site.input in site.taps:
        return Obstacle(f"Its input is where {site.taps[site.input]} is observed.")
    if site.input.is_graph_output() or len(site.input.uses()) > 1:
        return Obstacle(f"The output of {before} is also used without normalization.")
    weight, bias = constant(producer.inputs[1]), constant(_bias(producer))
    if weight is None or (_bias(producer) is not None and bias is None):
        return Obstacle(f"The weights of {before} are computed, not constant.")
    return _fold(site, producer, weight, bias)


def _fold(site: Site, producer: ir.Node, weight: Array, bias: Array | None) -> Folded | Obstacle:
    before = module_name(producer)
    bias_factor = producer.attributes.get_float("beta", 1.0)  # only Gemm has one
    folded_weight = SCALINGS[producer.op_type](producer, weight, site.layer.scale)
    folded_bias = fold_bias(None if bias is None else bias * bias_factor, site.layer)
    kind = site.input.dtype or ir.DataType.FLOAT
    with np.errstate(over="ignore"):
        tensors = [array.astype(kind.numpy()) for array in (folded_weight, folded_bias)]
    if not all(np.isfinite(tensor).all() for tensor in tensors):
        return Obstacle(f"The folded weights of {before} would overflow {kind.name}.")
    producer.resize_inputs(3)
    for index, (field, tensor) in enumerate(zip(("weight", "bias"), tensors, strict=True), start=1):
        producer.replace_input_with(index, None)
        producer.replace_input_with(index, _initializer(site.graph, f"{before}.{field}", tensor))
    if "beta" in producer.attributes:
        producer.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    producer.name = before
    _take_over(site.output, producer.outputs[0])
    return Folded("folded-backward", before, producer.outputs[0])


def _bias(producer: ir.Node) -> ir.Value | None:
    return producer.inputs[2] if len(producer.inputs) > 2 else None


def _initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Register a tensor under a name; the old bearer, if it is still used, keeps it and the new one is numbered."""
    free, number = name, 1
    while (taken := graph.initializers.get(free)) is not None and taken.uses():
        number += 1
        free = f"{name}.{number}"
    graph.initializers.pop(free, None)
    value = ir.Value(name=free, const_value=ir.tensor(array, name=free))
    value.shape = ir.Shape(array.shape)
    value.dtype = ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


def _take_over(old: ir.Value, new: ir.Value) -> None:
    """Let ``new`` stand wherever ``old`` did, under its name if that is one that clients see."""
    is_output, name = old.is_graph_output(), old.name
    new.shape, new.type = old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if is_output:
        old.name, new.name = None, name


def _convolution(producer: ir.Node, weight: Array, scale: Array) -> Array:
    del producer
    return scale_output(weight, scale, axis=0)


def _transposed_convolution(producer: ir.Node, weight: Array, scale: Array) -> Array:
    return scale_transposed_output(weight, scale, groups=producer.attributes.get_int("group", 1))


def _gemm(producer: ir.Node, weight: Array, scale: Array) -> Array:
    return scale_output(weight, scale, axis=0 if producer.attributes.get_int("transB", 0) else 1)


SCALINGS: Mapping[str, Callable[[ir.Node, Array, Array], Array]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
}
"""Operators that are affine in their input, and how their weights are scaled per output channel."""
