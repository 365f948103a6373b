"""This module has torch trace the library's networks once a process, as narrow as they go, for all tests of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import onnx_ir as ir
import torch
from torch import Tensor, nn

from folding.folded import FoldedGraph
from models.manifest import FoldMode
from tests.training.examples import build, fold, normal_rows, traced
from training.networks import build_network
from training.normalization import normalization_layers

SMALL: dict[str, object] = {"num_classes": 5, "width": 0.125}
STEM: dict[str, object] = {"stem": "small"}

NETWORKS: Mapping[str, tuple[Mapping[str, object], tuple[int, ...]]] = {
    "convnet": ({"in_channels": 3, "widths": [8, 8, 12]}, (3, 32, 32)),
    "mlp": ({"in_features": 16, "widths": [12, 10]}, (16,)),
    "vgg11": (SMALL, (3, 32, 32)),
    "resnet18": (SMALL | STEM, (3, 32, 32)),
    "preactresnet18": (SMALL | STEM, (3, 32, 32)),
    "preactresnet50": (SMALL | STEM, (3, 32, 32)),
    "densenet": (
        {"num_classes": 5, "stem": "small", "block_layers": [2, 3], "growth": 4, "stem_channels": 8},
        (3, 32, 32),
    ),
    "mobilenetv2": (SMALL | STEM, (3, 32, 32)),
    "bninception": (SMALL, (3, 32, 32)),
}
"""Arguments, and the shape of one row."""

FOLDED_BACKWARD = ("convnet", "mlp", "vgg11", "resnet18", "mobilenetv2", "bninception")
"""Those whose graph is the same in both modes: every layer goes into the weights in front of it."""

FOLDED: list[tuple[str, FoldMode]] = [
    *((name, "fast") for name in FOLDED_BACKWARD),
    *((name, mode) for name in ("preactresnet18", "densenet") for mode in ("fast", "complete")),
]
"""Plain, residual, forward-folded and concatenated: every graph that one of them becomes."""


@dataclass(frozen=True, slots=True)
class WholeNetwork:
    """A network, its graph before it is folded, and the shape of one of its rows."""

    network: nn.Module
    graph: ir.Model
    row: tuple[int, ...]

    def rows(self, count: int) -> Tensor:
        """Random rows."""
        return normal_rows(count, *self.row)

    def fold(self, mode: FoldMode) -> FoldedGraph:
        """The folded graph."""
        return fold(self.graph, self.network, mode)


@cache
def whole_network(name: str) -> WholeNetwork:
    """A network with the statistics of some random rows, and gamma of both signs and not near 0.

    A gamma of a hundredth would multiply by a hundred what float32 rounds off, in torch as in the folded graph; dozens
    of such layers behind one another would hide what is tested.
    """
    arguments, row = NETWORKS[name]
    network = build(lambda: build_network(name, arguments))
    for layer in normalization_layers(network).values():
        layer.momentum = 1.0
        with torch.no_grad():
            layer.weight.copy_(layer.weight.sign() * (0.5 + layer.weight.abs().clamp(max=1.0)))
    network.train()
    with torch.no_grad():
        network(normal_rows(32, *row, seed=5))
    return WholeNetwork(network.eval(), traced(network, normal_rows(2, *row)), row)
