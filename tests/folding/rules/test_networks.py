"""Whole networks are folded, and what is left of their normalization layers is counted."""

from collections import Counter

import onnx
import pytest

from folding.folded import FoldedGraph
from folding.verify import TAP_TOLERANCE
from tests.folding.whole_networks import FOLDED_BACKWARD, whole_network
from tests.training.examples import assert_agrees
from training.normalization import normalization_layers


def operators(graph: FoldedGraph) -> Counter[str]:
    """How many nodes of each kind a graph has."""
    return Counter(node.op_type for node in onnx.load_from_string(graph.model).graph.node)


@pytest.mark.parametrize("name", ["preactresnet50", "densenet"])
def test_nothing_is_left_where_unpadded_convolutions_follow_every_rectifier(name: str) -> None:
    whole = whole_network(name)

    kept, graph = whole.fold("fast"), whole.fold("complete")

    assert_agrees(graph, whole.network, whole.rows(3), tap_tolerance=TAP_TOLERANCE)
    assert {layer.placement for layer in graph.layers} == {"folded-backward", "folded-forward"}
    assert operators(graph)["BatchNormalization"] == operators(graph)["Mul"] == 0
    assert operators(graph)["Add"] == operators(kept)["Add"]  # those of the network itself


def test_one_sum_a_layer_is_left_where_padded_convolutions_follow() -> None:
    whole = whole_network("preactresnet18")

    kept, graph = whole.fold("fast"), whole.fold("complete")

    placements = Counter(layer.placement for layer in graph.layers)
    assert_agrees(graph, whole.network, whole.rows(3), tap_tolerance=TAP_TOLERANCE)
    assert operators(graph)["BatchNormalization"] == operators(graph)["Mul"] == 0
    assert operators(graph)["Add"] - operators(kept)["Add"] == placements["affine"]
    assert placements["affine"] > 0


@pytest.mark.parametrize("name", FOLDED_BACKWARD)
def test_networks_that_normalize_behind_weights_keep_no_layer_in_either_mode(name: str) -> None:
    whole = whole_network(name)

    graph = whole.fold("fast")

    assert whole.fold("complete").model == graph.model
    assert {layer.placement for layer in graph.layers} == {"folded-backward"}
    assert operators(graph)["BatchNormalization"] == 0
    assert [layer.name for layer in graph.layers] == list(normalization_layers(whole.network))
