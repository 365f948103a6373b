"""This module finds the normalization layers of a graph, and holds what a rule says of one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from models.layers import NormalizationLayer
from models.manifest import Placement, TapRecord
from training.errors import FoldingError


@dataclass(frozen=True, slots=True)
class Site:
    """One normalization layer, and the node that computes it.

    Attributes:
        layer: Its parameters and statistics.
        node: As it was exported.
        graph: All of it.
        taps: By tensor, the layers before this one that are observed there; what a rule must not change.
    """

    layer: NormalizationLayer
    node: ir.Node
    graph: ir.Graph
    taps: dict[ir.Value, str]

    @property
    def input(self) -> ir.Value:
        """What the layer normalizes."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def output(self) -> ir.Value:
        """What the layer gives."""
        return self.node.outputs[0]


@dataclass(frozen=True, slots=True)
class Folded:
    """A rule folded the layer into the weights of ``into``; ``observed`` is the tensor that is the layer's output."""

    placement: Placement
    into: str
    observed: ir.Value


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A rule left the layer alone; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one normalization layer."""

    layer: NormalizationLayer
    placement: Placement
    into: str | None
    reason: str | None
    tap: TapRecord


def find_sites(model: ir.Model) -> list[Site]:
    """Every normalization layer of the graph, in the order in which data meets them.

    Raises:
        FoldingError: If its parameters are no constants, or no statistics.
    """
    taps: dict[ir.Value, str] = {}
    return [_site(node, model.graph, taps) for node in model.graph if node.op_type == "BatchNormalization"]


def module_name(node: ir.Node) -> str:
    """Qualified name of the module that a node came from; the node's own name where the graph does not say."""
    scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
    return str(scopes[-2]) if len(scopes) > 2 else str(node.name)


def constant(value: ir.Value | None) -> NDArray[np.float64] | None:
    """A value's numbers in float64, or None where they are not known before the graph runs."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy().astype(np.float64)


def _site(node: ir.Node, graph: ir.Graph, taps: dict[ir.Value, str]) -> Site:
    name = module_name(node)
    gamma, beta, mean, variance = _parameters(name, node)
    eps = node.attributes.get_float("epsilon", 1e-5)
    try:
        layer = NormalizationLayer(name, _shortest(eps), gamma, beta, mean, variance)
    except ValueError as error:
        raise FoldingError(str(error)) from error
    node.name = name
    return Site(layer, node, graph, taps)


def _parameters(name: str, node: ir.Node) -> Iterator[NDArray[np.float64]]:
    for field, value in zip(("weight", "bias", "running_mean", "running_var"), node.inputs[1:5], strict=True):
        array = constant(value)
        if array is None:
            raise FoldingError(f"{name}.{field}: expected a constant, got a tensor that the graph computes")
        yield array


def _shortest(eps: float) -> float:
    """The decimal number that a float32 attribute was written from: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(eps)))
