"""Random networks are folded in both modes and compared with torch, every output and every tap.

``BNSERVE_RANDOM_NETWORKS=1000`` makes as many; by default there are few, since each takes a second.
"""

import copy
import os
from collections.abc import Mapping
from typing import get_args

from hypothesis import HealthCheck, Phase, given, settings
from torch import Tensor, nn

from folding.folded import FoldedGraph
from models.manifest import FoldMode
from tests.folding.rules.random_networks import RandomNetwork, Step, programs
from tests.training.examples import (
    TOLERANCE,
    build,
    count_nodes,
    fold,
    held_by_taps,
    normal_rows,
    observed_layers,
    relative_error,
    run_graph,
)
from training.tracing import read_signature, trace

MODES: tuple[FoldMode, ...] = get_args(FoldMode)

EXAMPLES = int(os.environ.get("BNSERVE_RANDOM_NETWORKS", "8"))

TAP_TOLERANCE = 1e-4
"""Of a tap's largest value: a layer behind others is off by what they rounded, scaled up."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(program=programs())
def test_any_network_agrees_with_torch_at_every_output_and_tap(program: list[Step]) -> None:
    network = build(lambda: RandomNetwork(program))
    rows = normal_rows(5, 4, 6, 6)
    signature, tensors = read_signature(network, rows)
    before = trace(network, signature, tensors)
    expected = dict(zip(signature.output_names, signature.call(network, [rows]), strict=True))

    graphs = {mode: fold(before, network, mode) for mode in MODES}

    for mode, graph in graphs.items():
        assert_every_tensor_agrees(graph, network, rows, expected)
        assert mode == "fast" or "kept" not in {layer.placement for layer in graph.layers}


def assert_every_tensor_agrees(
    graph: FoldedGraph, network: nn.Module, rows: Tensor, expected: Mapping[str, Tensor]
) -> None:
    # in float64: behind nine layers in a row float32 has lost what the tap still shows
    layers = observed_layers(copy.deepcopy(network).double(), graph, rows.double())
    found, held = run_graph(graph, rows), held_by_taps(graph, rows)
    errors = {name: relative_error(found[name], tensor.numpy()) for name, tensor in expected.items()}
    assert {name: error for name, error in errors.items() if not error <= TOLERANCE} == {}
    assert held.keys() == layers.keys()
    tap_errors = {name: relative_error(held[name], layers[name]) for name in layers}
    assert {name: error for name, error in tap_errors.items() if not error <= TAP_TOLERANCE} == {}
    assert count_nodes(graph, "BatchNormalization") == sum(layer.placement == "kept" for layer in graph.layers)
