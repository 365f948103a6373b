"""Whole networks are folded, and what is left of their normalization layers is counted."""

from collections import Counter
from collections.abc import Mapping

import onnx
import pytest
import torch
from torch import nn

from folding.folded import FoldedGraph
from folding.verify import TAP_TOLERANCE
from models.manifest import FoldMode
from tests.training.examples import assert_agrees, build, export, normal_rows
from training.networks import build_network
from training.normalization import normalization_layers

SMALL = {"num_classes": 5, "stem": "small", "width": 0.125}

PRE_ACTIVATION_18 = ("preactresnet18", SMALL)
PRE_ACTIVATION_50 = ("preactresnet50", SMALL)
DENSE = ("densenet", {"num_classes": 5, "stem": "small", "block_layers": [2, 3], "growth": 4, "stem_channels": 8})


def settled(name: str, arguments: Mapping[str, object]) -> nn.Module:
    """A network with gamma of both signs and not near 0, and the statistics of some random images.

    Dozens of layers with a gamma near 0 in between would let rounding errors grow beyond what is being tested here.
    """
    network = build(lambda: build_network(name, arguments))
    for layer in normalization_layers(network).values():
        layer.momentum = 1.0
        with torch.no_grad():
            layer.weight.copy_(layer.weight.sign() * (0.5 + layer.weight.abs().clamp(max=1.0)))
    network.train()
    with torch.no_grad():
        network(normal_rows(16, 3, 32, 32, seed=5))
    return network.eval()


def operators(graph: FoldedGraph) -> Counter[str]:
    """How many nodes of each kind a graph has."""
    return Counter(node.op_type for node in onnx.load_from_string(graph.model).graph.node)


@pytest.mark.parametrize(("name", "arguments"), [PRE_ACTIVATION_50, DENSE], ids=["preactresnet50", "densenet"])
def test_nothing_is_left_where_unpadded_convolutions_follow_every_rectifier(
    name: str, arguments: Mapping[str, object]
) -> None:
    network, rows = settled(name, arguments), normal_rows(3, 3, 32, 32)
    kept = export(network, rows)

    graph = export(network, rows, mode="complete")

    assert_agrees(graph, network, rows, tap_tolerance=TAP_TOLERANCE)
    assert {layer.placement for layer in graph.layers} == {"folded-backward", "folded-forward"}
    assert operators(graph)["BatchNormalization"] == operators(graph)["Mul"] == 0
    assert operators(graph)["Add"] == operators(kept)["Add"]  # those of the network itself


def test_one_sum_a_layer_is_left_where_padded_convolutions_follow() -> None:
    network, rows = settled(*PRE_ACTIVATION_18), normal_rows(3, 3, 32, 32)
    kept = export(network, rows)

    graph = export(network, rows, mode="complete")

    placements = Counter(layer.placement for layer in graph.layers)
    assert_agrees(graph, network, rows, tap_tolerance=TAP_TOLERANCE)
    assert operators(graph)["BatchNormalization"] == operators(graph)["Mul"] == 0
    assert operators(graph)["Add"] - operators(kept)["Add"] == placements["affine"]
    assert placements["affine"] > 0


@pytest.mark.parametrize("mode", ["fast", "complete"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "bninception", "vgg11"])
def test_networks_that_normalize_behind_convolutions_keep_no_layer(name: str, mode: FoldMode) -> None:
    arguments = {key: value for key, value in SMALL.items() if key != "stem" or name in ("resnet18", "mobilenetv2")}
    network, rows = settled(name, arguments), normal_rows(3, 3, 64, 64)

    graph = export(network, rows, mode=mode)

    assert {layer.placement for layer in graph.layers} == {"folded-backward"}
    assert operators(graph)["BatchNormalization"] == 0
    assert [layer.name for layer in graph.layers] == list(normalization_layers(network))
