from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from models.manifest import TapRecord
from tests.training.examples import (
    OUTPUT,
    Forward,
    answers,
    build,
    export,
    layer_outputs,
    normal_rows,
    run_graph,
)
from training.errors import VerificationError
from training.export import FoldedGraph
from training.verify import TOLERANCE, ObservedGraph, run_observed, verify

ROWS = normal_rows(20, 3, 6, 6)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build(
        lambda: Forward(
            lambda net, x: net.head(net.norm(net.conv(x)).relu().mean(dim=(2, 3))),
            conv=nn.Conv2d(3, 4, 3),
            norm=nn.BatchNorm2d(4),
            head=nn.Linear(4, 2),
        )
    )


@pytest.fixture(scope="module")
def graph(network: nn.Module) -> FoldedGraph:
    return export(network, ROWS)


def tampered(graph: FoldedGraph, name: str, change: Callable[[np.ndarray], np.ndarray]) -> FoldedGraph:
    """The graph with one of its weights changed."""
    model = onnx.load_from_string(graph.model)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    array = change(onnx.numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    return replace(graph, model=model.SerializeToString())


def tapped_at(graph: FoldedGraph, tensor: str) -> FoldedGraph:
    """The graph with the tap of its layer at another tensor."""
    (layer,) = graph.layers
    tap = TapRecord(tensor=tensor, side="output", channel_axis=1)
    return replace(graph, layers=(layer.model_copy(update={"tap": tap}),))


def largest_errors(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    absolute = float(np.abs(found.astype(np.float64) - expected).max())
    return absolute, absolute / float(np.abs(expected).max())


def test_a_graph_that_agrees_passes_on_random_and_on_real_rows(network: nn.Module, graph: FoldedGraph) -> None:
    record = verify(network, graph, (ROWS,), seed=0)

    assert [(check.rows, check.num_rows) for check in record.checks] == [("random", 64), ("real", 20)]
    assert [[agreement.name for agreement in check.outputs] for check in record.checks] == [[OUTPUT], [OUTPUT]]
    assert [[agreement.name for agreement in check.taps] for check in record.checks] == [["norm"], ["norm"]]
    assert record.tolerance == TOLERANCE
    assert record.reference == f"torch {torch.__version__}"


def test_the_figures_are_those_that_were_measured(network: nn.Module, graph: FoldedGraph) -> None:
    off = tampered(graph, "head.bias", lambda bias: bias * (1 + 2e-6))

    record = verify(network, off, (ROWS,), seed=0)

    found, (output, tap) = run_graph(off, ROWS), (answers(network, ROWS), layer_outputs(network, ROWS)["norm"])
    _, real = record.checks
    assert (real.outputs[0].max_absolute_error, real.outputs[0].max_relative_error) == largest_errors(
        found[OUTPUT], output
    )
    assert (real.taps[0].max_absolute_error, real.taps[0].max_relative_error) == largest_errors(found["norm"], tap)


def test_the_same_seed_gives_the_same_figures(network: nn.Module, graph: FoldedGraph) -> None:
    one, same, other = (verify(network, graph, (ROWS,), seed=seed) for seed in (1, 1, 2))

    assert one == same
    assert one.checks[0] != other.checks[0]
    assert one.checks[1] == other.checks[1]


@pytest.mark.parametrize("name", ["conv.weight", "conv.bias", "head.weight", "head.bias"])
def test_a_graph_whose_weights_were_changed_is_refused(network: nn.Module, graph: FoldedGraph, name: str) -> None:
    other = tampered(graph, name, lambda weight: weight + 1e-3)

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: on random rows the folded graph is \S+ off the network"):
        verify(network, other, (ROWS,), seed=0)


def test_a_change_within_the_tolerance_passes_and_one_beyond_does_not(network: nn.Module, graph: FoldedGraph) -> None:
    size = float(np.abs(answers(network, ROWS)).max())
    within = tampered(graph, "head.bias", lambda bias: bias + np.float32(size * TOLERANCE / 4))
    beyond = tampered(graph, "head.bias", lambda bias: bias + np.float32(size * TOLERANCE * 4))

    record = verify(network, within, (ROWS,), seed=0)

    assert record.checks[1].outputs[0].max_relative_error == pytest.approx(TOLERANCE / 4, rel=0.2)  # of that, rounding
    with pytest.raises(VerificationError, match=OUTPUT):
        verify(network, beyond, (ROWS,), seed=0)


def test_a_tap_that_shows_another_tensor_is_refused_by_layer(network: nn.Module, graph: FoldedGraph) -> None:
    model = onnx.load_from_string(graph.model)
    (relu,) = (node.output[0] for node in model.graph.node if node.op_type == "Relu")

    with pytest.raises(VerificationError, match=r"^norm: on random rows"):
        verify(network, tapped_at(graph, relu), (ROWS,), seed=0)


def test_a_tap_of_another_shape_is_refused_by_layer(network: nn.Module, graph: FoldedGraph) -> None:
    elsewhere = tapped_at(graph, OUTPUT)

    with pytest.raises(VerificationError, match=r"^norm: expected shape \(64, 4, 4, 4\), got \(64, 2\)$"):
        verify(network, elsewhere, (ROWS,), seed=0)


def test_a_tap_that_is_not_there_is_refused_by_layer_and_tensor(network: nn.Module, graph: FoldedGraph) -> None:
    nowhere = tapped_at(graph, "missing")

    with pytest.raises(VerificationError, match=r"^norm: expected a tensor 'missing' in the graph, got none$"):
        verify(network, nowhere, (ROWS,), seed=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_graph_that_answers_no_numbers_is_refused(network: nn.Module, graph: FoldedGraph, value: float) -> None:
    broken = tampered(graph, "head.bias", lambda bias: bias + np.float32(value))

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: expected finite values, got NaN or infinity$"):
        verify(network, broken, (ROWS,), seed=0)


def test_a_network_that_computes_otherwise_once_it_is_exported_is_refused() -> None:
    def answer(net: nn.Module, rows: Tensor) -> Tensor:
        logits: Tensor = net.get_submodule("norm")(rows)
        return 1.01 * logits if torch.onnx.is_in_onnx_export() else logits

    liar = build(lambda: Forward(answer, norm=nn.BatchNorm1d(3)))
    rows = normal_rows(20, 3)
    graph = export(liar, rows)

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: on random rows"):
        verify(liar, graph, (rows,), seed=0)


def test_a_tensor_of_zeros_is_measured_without_dividing_by_it() -> None:
    silent = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    for name in ("1.weight", "1.bias"):
        silent.get_parameter(name).data.zero_()
    rows = normal_rows(20, 3)
    graph = export(silent, rows)

    record = verify(silent, graph, (rows,), seed=0)

    errors = [(a.max_absolute_error, a.max_relative_error) for check in record.checks for a in check.outputs]
    assert errors == [(0.0, 0.0), (0.0, 0.0)]


def test_random_rows_are_of_the_size_of_the_real_ones(network: nn.Module, graph: FoldedGraph) -> None:
    large = 1e6 * ROWS

    record = verify(network, graph, (large,), seed=0)

    sizes = [check.taps[0].max_absolute_error / check.taps[0].max_relative_error for check in record.checks]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.5)  # the largest of some thousand Gaussian values, twice


def test_an_observed_graph_gives_outputs_and_taps_by_name(network: nn.Module, graph: FoldedGraph) -> None:
    observed = ObservedGraph(graph)

    tensors = observed.run((ROWS,))

    outputs, taps = run_observed(network, graph.layers, (ROWS,))
    assert set(tensors) == {OUTPUT, "norm"}
    np.testing.assert_array_equal(outputs[0], answers(network, ROWS))
    np.testing.assert_array_equal(taps["norm"], layer_outputs(network, ROWS)["norm"])


def test_observing_a_network_leaves_no_hook(network: nn.Module, graph: FoldedGraph) -> None:
    _, first = run_observed(network, graph.layers, (ROWS,))
    before = first["norm"].copy()

    answers(network, -ROWS)

    np.testing.assert_array_equal(first["norm"], before)


def test_a_network_that_works_in_place_is_compared_with_what_its_layers_gave() -> None:
    network = build(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        )
    )
    rows = normal_rows(5, 3, 6, 6)

    record = verify(network, export(network, rows), (rows,), seed=0)

    assert [agreement.name for agreement in record.checks[1].taps] == ["1", "4"]


def test_a_layer_that_runs_but_is_not_in_the_graph_is_refused_by_name(network: nn.Module, graph: FoldedGraph) -> None:
    first, *others = graph.layers

    with pytest.raises(VerificationError, match=rf"^{first.name}: expected every normalization layer in the graph"):
        run_observed(network, others, (ROWS,))


def test_a_network_that_answers_no_tensor_is_refused() -> None:
    network = build(lambda: Forward(lambda _, x: {"logits": x}))

    with pytest.raises(VerificationError, match=r"^network: expected a tensor or several as outputs, got dict$"):
        run_observed(network, [], (ROWS,))
