"""This module writes chains of a normalization layer and a rectifier, in the ways in which the layer can be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.folding.exports import INPUT
from benchmarks.folding.rule_variants import KEPT
from models.moments import Array

LAYERS = 8
OPSET = 20
IR_VERSION = 10

SHAPES: Mapping[str, tuple[int, ...]] = {
    f"({', '.join(map(str, shape))})": shape
    for shape in (
        (1, 64),
        (1, 1024),
        (32, 256),
        (256, 256),
        (1, 64, 64),
        (1, 128, 196),
        (16, 128, 196),
        (1, 512, 1024),
    )
}
"""Rows and features; rows, channels and length."""


def write_operators(shape: tuple[int, ...]) -> dict[str, bytes]:
    """A chain of layers for inputs of a shape, in every way of writing one."""
    return {way: Chain(shape).write(link) for way, link in WAYS.items()}


class Chain:
    """A chain of layers, one behind the other, each with parameters of its own.

    Args:
        shape: Of the input; channels are axis 1.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._generator = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []

    def write(self, link: Callable[[Chain, str], str]) -> bytes:
        """The graph as an ONNX file; ``link`` adds a layer behind a tensor, and says what it gives."""
        last = INPUT
        for _ in range(LAYERS):
            last = link(self, last)
        dynamic: list[str | int | None] = ["rows", *self._shape[1:]]
        source, target = (helper.make_tensor_value_info(n, TensorProto.FLOAT, dynamic) for n in (INPUT, last))
        graph = helper.make_graph(self._nodes, "chain", [source], [target], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())

    def add(self, operator: str, *inputs: str) -> str:
        """Add a node; returns what it gives."""
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name]))
        return name

    def constant(self, array: Array) -> str:
        """Add a constant; returns its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def per_channel(self, *, laid: bool) -> str:
        """Add a constant of about 1 for every channel, laid along the input's axes or as a vector."""
        channels = self._shape[1]
        numbers = self._generator.uniform(0.9, 1.1, channels)
        return self.constant(numbers.reshape(channels, *[1] * (len(self._shape) - 2)) if laid else numbers)


def _normalization(chain: Chain, value: str) -> str:
    parameters = [chain.per_channel(laid=False) for _ in range(4)]
    return chain.add("Relu", chain.add("BatchNormalization", value, *parameters))


def _product_and_sum(chain: Chain, value: str) -> str:
    product = chain.add("Mul", value, chain.per_channel(laid=True))
    return chain.add("Relu", chain.add("Add", product, chain.per_channel(laid=True)))


def _sum(chain: Chain, value: str) -> str:
    return chain.add("Relu", chain.add("Add", value, chain.per_channel(laid=True)))


def _lower_bound(chain: Chain, value: str) -> str:
    return chain.add("Max", value, chain.per_channel(laid=True))


def _both_bounds(chain: Chain, value: str) -> str:
    return chain.add("Min", chain.add("Max", value, chain.per_channel(laid=True)), chain.per_channel(laid=True))


def _nothing(chain: Chain, value: str) -> str:
    return chain.add("Relu", value)


WAYS: Mapping[str, Callable[[Chain, str], str]] = {
    KEPT: _normalization,
    "product and sum": _product_and_sum,
    "one sum": _sum,
    "lower bound": _lower_bound,
    "both bounds": _both_bounds,
    "deleted": _nothing,
}
