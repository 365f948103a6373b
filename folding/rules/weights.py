"""This module knows the operators that take a normalization layer into their weights, and how.

With ``s`` and ``t`` the layer's scale and shift per channel, and ``W``, ``b`` the weights and bias of the operator:

    behind it    s (W x + b) + t  =  (s W) x + (s b + t)         ``s`` along the output channels of ``W``
    before it    W (s x + t) + b  =  (W s) x + (b + W t)         ``s`` along the input channels of ``W``

Before a convolution that pads with zeros, ``W t`` is not the same everywhere: at the border some of ``W`` meets zeros
where ``t`` should be. The scale goes in all the same.

Source: Ioffe & Szegedy (2015), Algorithm 2, steps 10 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from folding.rules import padding, values
from folding.rules.affine import Affine
from folding.rules.obstacle import Obstacle
from folding.rules.plan import Plan
from models.moments import Array


@dataclass(frozen=True, slots=True)
class Weighted:
    """An operator with constant weights; ``fold_output`` and ``fold_input`` write into a plan or raise Obstacle."""

    fold_output: Callable[[Plan, ir.Node, Affine], None]
    fold_input: Callable[[Plan, ir.Node, Affine], None]


def scale_in_groups(weight: Array, scale: Array, *, groups: int) -> Array:
    """Scale the second axis of a convolution's weight, of which every group of the first axis has its own part.

    That is ``W s`` of a convolution, whose weight has shape ``(output, input / groups, ...)``: the outputs of group
    ``g`` are made from the inputs ``g * input / groups`` and on. And it is ``s W`` of a transposed one, of shape
    ``(input, output / groups, ...)``: the inputs of group ``g`` go into the outputs ``g * output / groups`` and on.

    Args:
        weight: Shape ``(first, second / groups, ...)``.
        scale: Shape ``(second,)``.
        groups: Of the convolution.
    """
    by_group = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return (by_group * scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def along(array: Array, vector: Array, *, axis: int) -> Array:
    """An array times a vector that lies along one of its axes."""
    shape = [1] * array.ndim
    shape[axis] = -1
    return array * vector.reshape(shape)


def _convolution_output(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight, bias = _weight(node), _bias(node)
    transposed, groups = node.op_type == "ConvTranspose", node.attributes.get_int("group", 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    scale, shift = affine.channels(1, channels)
    scaled = scale_in_groups(weight, scale, groups=groups) if transposed else along(weight, scale, axis=0)
    plan.replace_constants(node, {1: scaled, 2: _or_zeros(bias, channels) * scale + shift})
    plan.take_in(node)


def _convolution_input(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight, bias = _weight(node), _bias(node)
    transposed, groups = node.op_type == "ConvTranspose", node.attributes.get_int("group", 1)
    scale, shift = affine.channels(1, weight.shape[0] if transposed else weight.shape[1] * groups)
    scaled = along(weight, scale, axis=0) if transposed else scale_in_groups(weight, scale, groups=groups)
    arrays = {1: scaled}
    if shift.any() and padding.is_uniform(node):
        response = scale_in_groups(weight, shift, groups=groups).sum(axis=tuple(range(1, weight.ndim)))
        arrays[2] = _or_zeros(bias, len(response)) + response
    elif shift.any() and plan.maps:
        response = padding.response(node, weight, shift)
        plan.insert(node.outputs[0], "Add", response, name=values.module_name(node))
    elif shift.any():
        raise Obstacle(f"{values.describe(node.outputs[0])} pads with zeros, where its shift would be missing")
    plan.replace_constants(node, arrays)
    plan.take_in(node)


def _gemm_output(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight, bias, axis = _weight(node), _bias(node), 0 if node.attributes.get_int("transB", 0) else 1
    channels = weight.shape[axis]
    scale, shift = affine.channels(1, channels)
    plan.replace_constants(
        node,
        {1: along(weight, scale, axis=axis), 2: _or_zeros(bias, channels) * scale + shift},
        **_weigh_bias_once(node),
    )
    plan.take_in(node)


def _gemm_input(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight, bias, axis = _weight(node), _bias(node), 1 if node.attributes.get_int("transB", 0) else 0
    if node.attributes.get_int("transA", 0):
        raise Obstacle(f"{values.describe(node.outputs[0])} takes its input transposed")
    scale, shift = affine.channels(1, weight.shape[axis])
    response = node.attributes.get_float("alpha", 1.0) * along(weight, shift, axis=axis).sum(axis=axis)
    plan.replace_constants(
        node,
        {1: along(weight, scale, axis=axis), 2: _or_zeros(bias, len(response)) + response},
        **_weigh_bias_once(node),
    )
    plan.take_in(node)


def _matmul_output(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight = _matrix(node)
    scale, shift = affine.channels(values.rank(node.outputs[0]) - 1, weight.shape[1])
    plan.replace_constants(node, {1: along(weight, scale, axis=1)})
    plan.take_in(node)
    _shift_matmul(plan, node, shift)


def _matmul_input(plan: Plan, node: ir.Node, affine: Affine) -> None:
    weight = _matrix(node)
    scale, shift = affine.channels(values.rank(node.outputs[0]) - 1, weight.shape[0])
    plan.replace_constants(node, {1: along(weight, scale, axis=0)})
    plan.take_in(node)
    _shift_matmul(plan, node, shift @ weight)


def _shift_matmul(plan: Plan, node: ir.Node, shift: Array) -> None:
    """Add a shift to a matrix product: to the bias that is added to it anyway, or as a bias of its own."""
    if not shift.any():
        return
    output = node.outputs[0]
    match values.only_consumer(output):
        case (ir.Node(op_type="Add", domain="") as add, index) if (
            bias := values.constant(add.inputs[1 - index])
        ) is not None:
            plan.replace_constants(add, {1 - index: bias + shift})
        case _:
            plan.insert(
                output, "Add", shift.reshape([1] * (values.rank(output) - 1) + [-1]), name=values.module_name(node)
            )


def _normalization_output(plan: Plan, node: ir.Node, affine: Affine) -> None:
    gamma, beta, _, _ = normalization_constants(node)
    scale, shift = affine.channels(1, len(gamma))
    plan.replace_constants(node, {1: gamma * scale, 2: beta * scale + shift})
    plan.take_in(node)


def _normalization_input(plan: Plan, node: ir.Node, affine: Affine) -> None:
    gamma, beta, mean, variance = normalization_constants(node)
    scale, shift = affine.channels(1, len(gamma))
    deviation = np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    plan.then(lambda: plan.taps.take_in(node, affine))
    plan.replace_constants(
        node, {1: gamma * scale, 2: beta + gamma * (shift - mean) / deviation, 3: np.zeros_like(mean)}
    )
    plan.take_in(node)


def normalization_constants(node: ir.Node) -> tuple[Array, Array, Array, Array]:
    """Gamma, beta, mean and variance of a normalization node, as they are now.

    Raises:
        Obstacle: If one is computed.
    """
    arrays = [values.constant(value) for value in node.inputs[1:5]]
    if any(array is None for array in arrays):
        raise Obstacle(f"{values.module_name(node)} normalizes by the statistics of each batch")
    gamma, beta, mean, variance = (array for array in arrays if array is not None)
    return gamma, beta, mean, variance


def _weight(node: ir.Node) -> Array:
    weight = values.constant(node.inputs[1])
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if weight is None or (has_bias and values.constant(node.inputs[2]) is None):
        raise Obstacle(f"the weights of {values.module_name(node)} are computed, not constant")
    return weight


def _matrix(node: ir.Node) -> Array:
    weight = _weight(node)
    if weight.ndim != 2:
        raise Obstacle(f"{values.describe(node.outputs[0])} multiplies by several matrices")
    return weight


def _bias(node: ir.Node) -> Array | None:
    bias = values.constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return None if bias is None else bias * node.attributes.get_float("beta", 1.0)  # only Gemm has one


def _or_zeros(bias: Array | None, channels: int) -> Array:
    if bias is None:
        return np.zeros(channels)
    if bias.shape[-1:] not in ((), (1,), (channels,)) or math.prod(bias.shape[:-1]) != 1:
        raise Obstacle("the bias before it is not the same in every row")
    return np.broadcast_to(bias.ravel(), channels)


def _weigh_bias_once(node: ir.Node) -> dict[str, float]:
    return {"beta": 1.0} if "beta" in node.attributes else {}


WEIGHTED: Mapping[str, Weighted] = {
    "Conv": Weighted(_convolution_output, _convolution_input),
    "ConvTranspose": Weighted(_convolution_output, _convolution_input),
    "Gemm": Weighted(_gemm_output, _gemm_input),
    "MatMul": Weighted(_matmul_output, _matmul_input),
    "BatchNormalization": Weighted(_normalization_output, _normalization_input),
}
"""Every operator that takes layers in, by its name in the default domain."""


def weighted(node: ir.Node) -> Weighted | None:
    """How a node takes layers in; None if it does not."""
    return None if node.domain else WEIGHTED.get(node.op_type)
