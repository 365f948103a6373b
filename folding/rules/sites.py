"""This module finds the normalization layers of a graph, names them, and holds what is said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from folding.errors import FoldingError
from folding.rules import values
from folding.rules.affine import Affine
from folding.rules.taps import Taps
from models.layers import NormalizationLayer
from models.manifest import Placement, TapRecord
from models.moments import Array

OPERATOR = "BatchNormalization"
PARAMETERS = ("weight", "bias", "running_mean", "running_var")
MEANS = ("running_mean", "moving_mean")
"""What a layer's mean is called, behind the layer's own name, by torch and by Keras."""

FUNCTION = "batch_norm"
"""What a layer is called, behind the name of the module that calls it, where it is no module of its own."""


@dataclass(frozen=True, slots=True)
class Site:
    """One normalization layer, and the node that computes it.

    Attributes:
        layer: Its parameters and statistics, as the network has them.
        node: It may take other layers in before its own turn comes.
        taps: What it took in.
    """

    layer: NormalizationLayer
    node: ir.Node
    taps: Taps

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.name

    @property
    def input(self) -> ir.Value:
        """What the node normalizes."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def output(self) -> ir.Value:
        """What the node gives."""
        return self.node.outputs[0]

    @property
    def affine(self) -> Affine:
        """The map that the node computes now, other layers that it took in included."""
        layer = Affine.of_channels(self.layer.scale, self.layer.shift, axis=1, rank=values.rank(self.input))
        return layer.after(self.taps.before(self.node))


@dataclass(frozen=True, slots=True)
class Untracked:
    """A node that normalizes, but not by statistics of the training data that are known before it runs."""

    name: str
    channels: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one normalization layer.

    Attributes:
        layer: Its parameters and statistics.
        placement: What became of it.
        into: Whose weights took it in, if that is all that became of it.
        reason: Why not, otherwise: one sentence.
        tap: Where it is observed.
        tap_map: Scale and shift, shape ``(channels,)`` each, of what the tap holds of it; None where that is itself.
    """

    layer: NormalizationLayer
    placement: Placement
    into: str | None
    reason: str | None
    tap: TapRecord
    tap_map: tuple[Array, Array] | None


def find_sites(model: ir.Model, taps: Taps) -> tuple[list[Site], list[Untracked]]:
    """Every normalization layer of the graph in the order in which data meets them, and those without statistics.

    A layer that is used again is there again, as ``<name>@2``.

    Raises:
        FoldingError: If a layer's parameters are no statistics: NaN, a negative variance, a wrong number of channels.
    """
    sites: list[Site] = []
    untracked: list[Untracked] = []
    for node, name in name_layers(model).items():
        if node.graph is not model.graph:
            untracked.append(Untracked(name, None, "It is inside a branch or a loop of the graph."))
        elif node.inputs[0] is None or node.inputs[0].shape is None:
            untracked.append(Untracked(name, _channels(node), "How many axes its input has is not known."))
        elif any(values.constant(value) is None for value in node.inputs[3:5]):
            reason = "Its statistics are computed while the graph runs, so there are none to fold or to watch."
            untracked.append(Untracked(name, _channels(node), reason))
        else:
            sites.append(_site(name, node, taps))
    return sites, untracked


def normalizes(node: ir.Node | onnx.NodeProto) -> bool:
    """Whether a node is a normalization, of a graph or of a file."""
    return node.op_type == OPERATOR and not node.domain


def name_layers(model: ir.Model) -> dict[ir.Node, str]:
    """Every normalization node in order, and what it is called; ``<name>@2`` where a layer is used again."""
    used: Counter[str] = Counter()
    names: dict[ir.Node, str] = {}
    for node in filter(normalizes, ir.traversal.RecursiveGraphIterator(model.graph)):
        name = _layer_name(node)
        used[name] += 1
        names[node] = name if used[name] == 1 else f"{name}@{used[name]}"
    return names


def _layer_name(node: ir.Node) -> str:
    mean = node.inputs[3]
    owner, _, field = str(mean.name if mean is not None else "").rpartition(".")
    if scopes := values.scopes(node):
        return name_of_call(scopes[-2] if len(scopes) > 1 else "", field)
    return owner if owner and field in MEANS else str(node.name or FUNCTION)


def name_of_call(module: str, mean: str) -> str:
    """What a normalization is called that a module computes with a mean of some name; of torch and graph alike."""
    return module if module and mean == "running_mean" else f"{module}.{FUNCTION}".lstrip(".")


def _site(name: str, node: ir.Node, taps: Taps) -> Site:
    gamma, beta, mean, variance = _parameters(name, node)
    eps = _shortest(node.attributes.get_float("epsilon", 1e-5))
    try:
        layer = NormalizationLayer(name, eps, gamma, beta, mean, variance)
    except ValueError as error:
        raise FoldingError(str(error)) from error
    return Site(layer, node, taps)


def _parameters(name: str, node: ir.Node) -> Iterator[Array]:
    for field, value in zip(PARAMETERS, node.inputs[1:5], strict=True):
        array = values.constant(value)
        if array is None:
            raise FoldingError(f"{name}.{field}: expected a constant, got a tensor that the graph computes")
        yield array


def _channels(node: ir.Node) -> int | None:
    gamma = values.constant(node.inputs[1])
    return None if gamma is None else gamma.size


def _shortest(eps: float) -> float:
    """The decimal number that a float32 attribute was written from: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(eps)))
