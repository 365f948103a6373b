"""Every placement is exported, folded in both modes and compared with torch: output, taps, and what is told."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from folding.folded import FoldedGraph
from models.manifest import FoldMode
from tests.folding.rules.placements import PLACEMENTS, Placement
from tests.training.examples import (
    INPUT,
    OUTPUT,
    TOLERANCE,
    Forward,
    answers,
    assert_agrees,
    build,
    count_nodes,
    export,
    fold,
    held_by_taps,
    normal_rows,
    observed_layers,
    relative_error,
    run_graph,
    traced,
)

MODES: tuple[FoldMode, ...] = get_args(FoldMode)


@dataclass(frozen=True)
class Exported:
    """A placement, its network with random weights and statistics, and the graph that came of it in one mode."""

    placement: Placement
    mode: FoldMode
    network: nn.Module
    graph: FoldedGraph

    def rows(self, count: int) -> Tensor:
        """Random rows of the shape that the network takes."""
        return normal_rows(count, *self.placement.row)


@cache
def built(name: str) -> tuple[nn.Module, ir.Model]:
    """The network of a placement, and its graph before it is folded."""
    placement = PLACEMENTS[name]
    network = build(placement.make)
    return network, traced(network, normal_rows(2, *placement.row))


@pytest.fixture(scope="module", params=[(name, mode) for name in PLACEMENTS for mode in MODES], ids="-".join)
def exported(request: pytest.FixtureRequest) -> Exported:
    name, mode = request.param
    network, graph = built(name)
    return Exported(PLACEMENTS[name], mode, network, fold(graph, network, mode))


@pytest.mark.parametrize("count", [1, 7])
def test_the_graph_gives_what_the_network_gives_for_batches_of_any_size(exported: Exported, count: int) -> None:
    rows = exported.rows(count)

    found = run_graph(exported.graph, rows)[OUTPUT]

    assert relative_error(found, answers(exported.network, rows)) <= TOLERANCE


def test_every_tap_is_what_its_layer_takes_or_gives(exported: Exported) -> None:
    rows = exported.rows(7)

    found = held_by_taps(exported.graph, rows)

    expected = observed_layers(exported.network, exported.graph, rows)
    assert found.keys() == expected.keys()
    assert {name for name in found if not relative_error(found[name], expected[name]) <= TOLERANCE} == set()


def test_every_tap_is_named_after_its_layer_or_is_known_by_another_name(exported: Exported) -> None:
    layers = exported.graph.layers

    clients = {tensor.name for tensor in (*exported.graph.inputs, *exported.graph.outputs)}
    own = {layer.name if layer.tap.side == "output" else f"{layer.name}.input" for layer in layers}
    assert {layer.tap.tensor for layer in layers} <= own | clients


def test_nothing_of_the_exporting_machine_is_in_the_graph(exported: Exported) -> None:
    model = onnx.load_from_string(exported.graph.model)

    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    described = [model, model.graph, *model.graph.node, *values]
    assert [
        word for word in (str(Path.cwd()).encode(), b".py", b"torch", b"File ") if word in exported.graph.model
    ] == []
    assert {(thing.doc_string, len(thing.metadata_props)) for thing in described} == {("", 0)}


def test_only_the_layers_that_are_kept_are_nodes(exported: Exported) -> None:
    left = count_nodes(exported.graph, "BatchNormalization")

    assert left == sum(layer.placement == "kept" for layer in exported.graph.layers)
    assert exported.mode == "fast" or left == 0


def test_every_layer_is_told_where_it_went_or_why_it_stayed(exported: Exported) -> None:
    found = {layer.name: f"{layer.placement} {layer.into or layer.reason or ''}" for layer in exported.graph.layers}

    expected = exported.placement.verdicts(exported.mode)
    assert found.keys() == expected.keys()
    assert {name: text for name, text in found.items() if not _agrees(text, expected[name])} == {}


def _agrees(found: str, expected: str) -> bool:
    """Whether a verdict is the expected one; where the layer stayed, the expected words are a part of the reason."""
    placement, _, detail = expected.partition(" ")
    if placement in ("kept", "affine"):
        return found.startswith(f"{placement} ") and detail in found and found.endswith(".")
    return found == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_scale_may_be_zero_or_negative(mode: FoldMode) -> None:
    network = build(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        )
    )
    network.get_parameter("1.weight").data = torch.tensor([0.0, 0.0, -1.5, -0.5])
    network.get_parameter("4.weight").data.zero_()
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows, mode=mode)

    assert_agrees(graph, network, rows)
    assert count_nodes(graph, "BatchNormalization") == 0


@pytest.mark.parametrize(
    ("kind", "size", "tolerance"),
    # float16 keeps 5e-4 an operation, of which the convolution's sum of 27 products is the longest
    [(torch.float32, 1e20, TOLERANCE), (torch.float16, 500.0, 5e-3)],
    ids=["float32", "float16"],
)
def test_what_would_overflow_is_not_folded(kind: torch.dtype, size: float, tolerance: float) -> None:
    network = build(lambda: nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()))
    for name in ("0.weight", "1.weight"):
        network.get_parameter(name).data.mul_(size)
    network, rows = network.to(kind), (normal_rows(7, 3, 6, 6) / size).to(kind)

    graph = export(network, rows)

    assert (graph.layers[0].placement, graph.layers[0].into) == ("kept", None)
    assert "the folded weights of 0 would overflow" in (graph.layers[0].reason or "")
    assert count_nodes(graph, "BatchNormalization") == 1
    # ONNX's own evaluator: ONNX Runtime folds on its own when it loads a graph, and does overflow
    (found,) = ReferenceEvaluator(graph.model).run(None, {INPUT: rows.numpy()})
    assert relative_error(np.asarray(found), answers(network, rows)) <= tolerance


def test_a_shift_that_would_overflow_in_front_of_a_small_scale_is_written_in_another_form() -> None:
    network = build(lambda: nn.Sequential(nn.Tanh(), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()))
    network.get_parameter("1.weight").data[0] = 1e-5
    network.get_parameter("1.bias").data[0] = 1.0
    network, rows = network.half(), normal_rows(7, 4, 6, 6).half()

    graph = export(network, rows, mode="complete")

    assert (graph.layers[0].placement, count_nodes(graph, "BatchNormalization")) == ("affine", 0)
    assert "a sum with a map stayed" in (graph.layers[0].reason or "")
    # float16 keeps 5e-4 an operation, of which the convolution's sum of 36 products is the longest
    assert relative_error(run_graph(graph, rows)[OUTPUT], answers(network, rows)) <= 5e-3


def test_a_layer_without_statistics_stays_and_is_said_to_be_untracked() -> None:
    network = build(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU()))
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows)

    (untracked,) = graph.untracked
    assert graph.layers == ()
    assert untracked.name.startswith("1")
    assert "computed while the graph runs" in untracked.reason
    assert_agrees(graph, network, rows)


def _one_layer_of_two_names() -> nn.Module:
    norm = nn.BatchNorm2d(4)
    return Forward(lambda net, x: net.b(net.conv(x)).relu(), conv=nn.Conv2d(3, 4, 3), a=norm, b=norm)


@pytest.mark.parametrize(
    "make",
    [
        _one_layer_of_two_names,
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    ],
    ids=["one layer of two names", "an instance normalization"],
)
def test_what_is_no_layer_of_one_name_is_right(make: Callable[[], nn.Module]) -> None:
    network = build(make)
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows)

    assert_agrees(graph, network, rows)


def test_layers_may_have_the_names_of_other_tensors() -> None:
    network = build(
        lambda: Forward(
            lambda net, x: net.head(net.logits(net.relu(net.image(net.first(x)).relu()).sigmoid()).sigmoid()),
            first=nn.Conv2d(3, 4, 3),
            image=nn.BatchNorm2d(4),
            relu=nn.BatchNorm2d(4),
            logits=nn.BatchNorm2d(4),
            head=nn.Conv2d(4, 2, 1),
        )
    )
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows)

    assert ([tensor.name for tensor in graph.inputs], [tensor.name for tensor in graph.outputs]) == ([INPUT], [OUTPUT])
    assert_agrees(graph, network, rows)
