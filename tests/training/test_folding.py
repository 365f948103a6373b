"""Every placement is exported, folded and compared with torch: its output, its taps, what is said of each layer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from torch.nn import functional

from models.layers import NormalizationLayer
from models.moments import Array
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
    layer_outputs,
    normal_rows,
    relative_error,
    run_graph,
)
from tests.training.placements import PLACEMENTS, Placement
from training.errors import TrainingError
from training.export import FoldedGraph
from training.folding.affine import fold_bias, scale_output, scale_transposed_output
from training.normalization import normalization_layers


@dataclass(frozen=True)
class Exported:
    """A placement, its network with random weights and statistics, and the graph that came of it."""

    placement: Placement
    network: nn.Module
    graph: FoldedGraph

    def rows(self, count: int) -> Tensor:
        """Random rows of the shape that the network takes."""
        return normal_rows(count, *self.placement.row)


@pytest.fixture(scope="module", params=PLACEMENTS)
def exported(request: pytest.FixtureRequest) -> Exported:
    placement = PLACEMENTS[request.param]
    network = build(placement.make)
    return Exported(placement, network, export(network, normal_rows(2, *placement.row)))


@pytest.mark.parametrize("count", [1, 7])
def test_the_graph_gives_what_the_network_gives_for_batches_of_any_size(exported: Exported, count: int) -> None:
    rows = exported.rows(count)

    found = run_graph(exported.graph, rows)[OUTPUT]

    assert relative_error(found, answers(exported.network, rows)) <= TOLERANCE


def test_every_tap_is_what_its_layer_gives(exported: Exported) -> None:
    rows = exported.rows(7)

    found = run_graph(exported.graph, rows)

    expected = layer_outputs(exported.network, rows)
    assert {layer.name for layer in exported.graph.layers} == set(expected)
    assert (
        max(relative_error(found[layer.tap.tensor], expected[layer.name]) for layer in exported.graph.layers)
        <= TOLERANCE
    )


def test_every_tap_is_named_after_its_layer_unless_it_is_the_output(exported: Exported) -> None:
    taps = {layer.name: layer.tap for layer in exported.graph.layers}

    assert all(tap.tensor in (name, OUTPUT) for name, tap in taps.items())
    assert {(tap.side, tap.channel_axis) for tap in taps.values()} == {("output", 1)}


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

    assert left == len(exported.placement.kept)


def test_every_layer_is_told_where_it_went_or_why_it_stayed(exported: Exported) -> None:
    folded = {layer.name: layer.into for layer in exported.graph.layers if layer.placement == "folded-backward"}
    kept = {layer.name: layer.reason or "" for layer in exported.graph.layers if layer.placement == "kept"}

    assert folded == exported.placement.folded
    assert kept.keys() == exported.placement.kept.keys()
    assert all(exported.placement.kept[name] in reason and reason.endswith(".") for name, reason in kept.items())


def test_a_scale_may_be_zero_or_negative() -> None:
    network = build(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        )
    )
    network.get_parameter("1.weight").data = torch.tensor([0.0, 0.0, -1.5, -0.5])
    network.get_parameter("4.weight").data.zero_()
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows)

    assert_agrees(graph, network, rows)
    assert count_nodes(graph, "BatchNormalization") == 0


def test_of_two_layers_in_a_row_none_is_lost() -> None:
    network = build(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU()))
    rows = normal_rows(7, 3, 6, 6)

    graph = export(network, rows)

    assert_agrees(graph, network, rows)
    assert [layer.name for layer in graph.layers] == ["1", "2"]
    assert graph.layers[0].placement == "folded-backward"
    assert count_nodes(graph, "BatchNormalization") == sum(layer.placement == "kept" for layer in graph.layers)


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
    assert "The folded weights of 0 would overflow" in (graph.layers[0].reason or "")
    assert count_nodes(graph, "BatchNormalization") == 1
    # ONNX's own evaluator: ONNX Runtime folds on its own when it loads a graph, and does overflow
    (found,) = ReferenceEvaluator(graph.model).run(None, {INPUT: rows.numpy()})
    assert relative_error(np.asarray(found), answers(network, rows)) <= tolerance


def test_a_layer_that_is_used_twice_is_refused_by_name() -> None:
    network = build(
        lambda: Forward(
            lambda net, x: net.block(x).relu() + net.block(-x),
            block=nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        )
    )

    with pytest.raises(TrainingError, match=r"^block\.1: expected one use in the graph, got several$"):
        export(network, normal_rows(2, 3, 6, 6))


def test_a_layer_without_statistics_is_refused_by_name() -> None:
    network = build(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU()))

    with pytest.raises(TrainingError, match=r"^1[.:]"):
        export(network, normal_rows(2, 3, 6, 6))


def _one_layer_of_two_names() -> nn.Module:
    norm = nn.BatchNorm2d(4)
    return Forward(lambda net, x: net.b(net.conv(x)).relu(), conv=nn.Conv2d(3, 4, 3), a=norm, b=norm)


def _no_module() -> nn.Module:
    return Forward(
        lambda net, x: functional.batch_norm(net.conv(x), net.mean.detach(), net.variance.detach()).relu(),
        conv=nn.Conv2d(3, 4, 3),
        mean=nn.Parameter(torch.randn(4)),
        variance=nn.Parameter(torch.rand(4) + 0.5),
    )


@pytest.mark.parametrize(
    "make",
    [
        _one_layer_of_two_names,
        _no_module,
        lambda: nn.BatchNorm2d(3),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    ],
    ids=["one layer of two names", "a function", "the whole network", "an instance normalization"],
)
def test_what_is_no_layer_of_one_name_is_refused_or_right(make: Callable[[], nn.Module]) -> None:
    network = build(make)
    rows = normal_rows(7, 3, 6, 6)

    with suppress(TrainingError):
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


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "grouped": lambda: nn.Conv2d(4, 4, 1, groups=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(4, 4, 2, groups=2),
    "norm": lambda: nn.BatchNorm2d(4),
    "fixed norm": lambda: nn.BatchNorm2d(4, affine=False),
    "relu": nn.ReLU,
    "pool": lambda: nn.AvgPool2d(2, stride=1),
    "dropout": nn.Dropout,
}


# an example takes a second, so there are few, and none is shrunk
@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.sampled_from(sorted(LAYERS)), min_size=3, max_size=6).filter(lambda names: "norm" in names))
def test_any_sequence_of_layers_agrees_with_torch(names: list[str]) -> None:
    network = build(lambda: nn.Sequential(*(LAYERS[name]() for name in names)))
    rows = normal_rows(7, 4, 9, 9)

    graph = export(network, rows)

    assert_agrees(graph, network, rows)
    assert [layer.name for layer in graph.layers] == list(normalization_layers(network))
    assert count_nodes(graph, "BatchNormalization") == sum(layer.placement == "kept" for layer in graph.layers)


@st.composite
def normalizations(draw: st.DrawFn, channels: int) -> NormalizationLayer:
    def per_channel(low: float, high: float) -> Array:
        return draw(arrays(np.float64, channels, elements=st.floats(low, high)))

    return NormalizationLayer(
        name="norm",
        eps=draw(st.sampled_from([1e-5, 1e-3])),
        gamma=per_channel(-2, 2),
        beta=per_channel(-2, 2),
        mean=per_channel(-2, 2),
        variance=per_channel(0, 2),
    )


@given(st.data(), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 3))
def test_a_folded_transposed_convolution_is_the_normalized_one(
    data: st.DataObject, groups: int, inputs: int, outputs: int
) -> None:
    layer = data.draw(normalizations(groups * outputs))
    weight, rows = normal_rows(groups * inputs, outputs, 2, 3).double(), normal_rows(2, groups * inputs, 4, 4).double()
    bias = normal_rows(groups * outputs, seed=2).double()

    folded_weight = torch.from_numpy(scale_transposed_output(weight.numpy(), layer.scale, groups=groups))
    folded_bias = torch.from_numpy(fold_bias(bias.numpy(), layer))

    plain = functional.conv_transpose2d(rows, weight, bias, groups=groups)
    expected = plain * _per_channel(layer.scale) + _per_channel(layer.shift)
    folded = functional.conv_transpose2d(rows, folded_weight, folded_bias, groups=groups)
    _assert_same_up_to_rounding(folded, expected, layer)


@given(st.data(), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 3))
def test_a_folded_convolution_is_the_normalized_one(
    data: st.DataObject, groups: int, inputs: int, outputs: int
) -> None:
    layer = data.draw(normalizations(groups * outputs))
    weight, rows = normal_rows(groups * outputs, inputs, 2, 3).double(), normal_rows(2, groups * inputs, 4, 4).double()

    folded_weight = torch.from_numpy(scale_output(weight.numpy(), layer.scale, axis=0))
    folded_bias = torch.from_numpy(fold_bias(None, layer))

    expected = functional.conv2d(rows, weight, groups=groups) * _per_channel(layer.scale) + _per_channel(layer.shift)
    folded = functional.conv2d(rows, folded_weight, folded_bias, groups=groups)
    _assert_same_up_to_rounding(folded, expected, layer)


def _per_channel(values: Array) -> Tensor:
    return torch.from_numpy(values)[None, :, None, None]


def _assert_same_up_to_rounding(found: Tensor, expected: Tensor, layer: NormalizationLayer) -> None:
    # at most 18 products of numbers below 5, each rounded by 1e-16, then scaled, and the shift added; or underflow
    size = 100 * np.abs(layer.scale).max() + np.abs(layer.beta).max() + np.abs(layer.mean * layer.scale).max()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-14 * size + 1e-300)
