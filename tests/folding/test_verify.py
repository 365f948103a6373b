from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from folding.errors import VerificationError
from folding.folded import FoldedGraph
from folding.references import GraphReference
from folding.verify import HALF_TOLERANCE, OUTPUT_TOLERANCE, random_like, verify
from models.manifest import TapRecord, VerificationRecord
from tests.training.examples import (
    OUTPUT,
    Forward,
    answers,
    build,
    export,
    normal_rows,
    observed_layers,
    run_graph,
)
from training.references import NormalizationCalls, TorchReference
from training.tracing import read_signature

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
    tap = TapRecord(tensor=tensor, side="output", channel_axis=1, mapped=False)
    return replace(graph, layers=(layer.model_copy(update={"tap": tap}),))


def compare(network: nn.Module, graph: FoldedGraph, rows: Tensor, *, seed: int) -> VerificationRecord:
    """What the verification says of a graph and its network, the rows being real."""
    signature, _ = read_signature(network, rows)
    return verify(TorchReference(network, signature), graph, (rows.numpy(),), real=True, seed=seed)


def largest_errors(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    absolute = float(np.abs(found.astype(np.float64) - expected).max())
    return absolute, absolute / float(np.abs(expected).max())


def test_a_graph_that_agrees_passes_on_random_and_on_real_rows(network: nn.Module, graph: FoldedGraph) -> None:
    record = compare(network, graph, ROWS, seed=0)

    assert [(check.rows, check.num_rows) for check in record.checks] == [("random", 64), ("real", 20)]
    assert [[agreement.name for agreement in check.outputs] for check in record.checks] == [[OUTPUT], [OUTPUT]]
    assert [[agreement.name for agreement in check.taps] for check in record.checks] == [["norm"], ["norm"]]
    assert record.tolerance == OUTPUT_TOLERANCE
    assert record.reference == f"torch {torch.__version__}"


def test_the_figures_are_those_that_were_measured(network: nn.Module, graph: FoldedGraph) -> None:
    off = tampered(graph, "head.bias", lambda bias: bias * (1 + 2e-6))

    record = compare(network, off, ROWS, seed=0)

    found, output = run_graph(off, ROWS), answers(network, ROWS)
    tap = observed_layers(network, off, ROWS)["norm"]
    by_channel = np.moveaxis(found["norm"], 1, 0).reshape(tap.shape)
    _, real = record.checks
    output_error, tap_error = real.outputs[0], real.taps[0]
    assert (output_error.max_absolute_error, output_error.max_relative_error) == largest_errors(found[OUTPUT], output)
    assert (tap_error.max_absolute_error, tap_error.max_relative_error) == largest_errors(by_channel, tap)


def test_the_same_seed_gives_the_same_figures(network: nn.Module, graph: FoldedGraph) -> None:
    one, same, other = (compare(network, graph, ROWS, seed=seed) for seed in (1, 1, 2))

    assert one == same
    assert one.checks[0] != other.checks[0]
    assert one.checks[1] == other.checks[1]


@pytest.mark.parametrize("name", ["conv.weight", "conv.bias", "head.weight", "head.bias"])
def test_a_graph_whose_weights_were_changed_is_refused(network: nn.Module, graph: FoldedGraph, name: str) -> None:
    other = tampered(graph, name, lambda weight: weight + 1e-3)

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: on random rows the folded graph is \S+ off the network"):
        compare(network, other, ROWS, seed=0)


def test_a_change_within_the_tolerance_passes_and_one_beyond_does_not(network: nn.Module, graph: FoldedGraph) -> None:
    size = float(np.abs(answers(network, ROWS)).max())
    within = tampered(graph, "head.bias", lambda bias: bias + np.float32(size * OUTPUT_TOLERANCE / 4))
    beyond = tampered(graph, "head.bias", lambda bias: bias + np.float32(size * OUTPUT_TOLERANCE * 4))

    record = compare(network, within, ROWS, seed=0)

    assert record.checks[1].outputs[0].max_relative_error == pytest.approx(
        OUTPUT_TOLERANCE / 4, rel=0.2
    )  # of that, rounding
    with pytest.raises(VerificationError, match=OUTPUT):
        compare(network, beyond, ROWS, seed=0)


def test_a_tap_that_shows_another_tensor_is_refused_by_layer(network: nn.Module, graph: FoldedGraph) -> None:
    model = onnx.load_from_string(graph.model)
    (relu,) = (node.output[0] for node in model.graph.node if node.op_type == "Relu")

    with pytest.raises(VerificationError, match=r"^norm: on random rows"):
        compare(network, tapped_at(graph, relu), ROWS, seed=0)


def test_a_tap_of_another_shape_is_refused_by_layer(network: nn.Module, graph: FoldedGraph) -> None:
    elsewhere = tapped_at(graph, OUTPUT)

    with pytest.raises(VerificationError, match=r"^norm: expected shape \(4, 1024\), got \(2, 64\)$"):
        compare(network, elsewhere, ROWS, seed=0)


def test_a_tap_that_is_not_there_is_refused_by_layer_and_tensor(network: nn.Module, graph: FoldedGraph) -> None:
    nowhere = tapped_at(graph, "missing")

    with pytest.raises(VerificationError, match=r"^norm: expected a tensor 'missing' in the graph, got none$"):
        compare(network, nowhere, ROWS, seed=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_graph_that_answers_no_numbers_is_refused(network: nn.Module, graph: FoldedGraph, value: float) -> None:
    broken = tampered(graph, "head.bias", lambda bias: bias + np.float32(value))

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: expected finite values, got NaN or infinity$"):
        compare(network, broken, ROWS, seed=0)


def test_a_network_that_computes_otherwise_once_it_is_exported_is_refused() -> None:
    def answer(net: nn.Module, rows: Tensor) -> Tensor:
        logits: Tensor = net.get_submodule("norm")(rows)
        return 1.01 * logits if torch.onnx.is_in_onnx_export() else logits

    liar = build(lambda: Forward(answer, norm=nn.BatchNorm1d(3)))
    rows = normal_rows(20, 3)
    graph = export(liar, rows)

    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: on random rows"):
        compare(liar, graph, rows, seed=0)


def test_a_tensor_of_zeros_is_measured_without_dividing_by_it() -> None:
    silent = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    for name in ("1.weight", "1.bias"):
        silent.get_parameter(name).data.zero_()
    rows = normal_rows(20, 3)
    graph = export(silent, rows)

    record = compare(silent, graph, rows, seed=0)

    errors = [(a.max_absolute_error, a.max_relative_error) for check in record.checks for a in check.outputs]
    assert errors == [(0.0, 0.0), (0.0, 0.0)]


def test_random_rows_are_of_the_size_of_the_real_ones(network: nn.Module, graph: FoldedGraph) -> None:
    large = 1e6 * ROWS

    record = compare(network, graph, large, seed=0)

    sizes = [check.taps[0].max_absolute_error / check.taps[0].max_relative_error for check in record.checks]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.5)  # the largest of some thousand Gaussian values, twice


def test_observing_a_network_leaves_no_hook(network: nn.Module) -> None:
    with NormalizationCalls(network, {"norm": "output"}) as calls:
        answers(network, ROWS)
    before = calls.observed["norm"].copy()

    answers(network, -ROWS)

    np.testing.assert_array_equal(calls.observed["norm"], before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_network_that_works_in_place_is_compared_with_what_its_layers_gave() -> None:
    network = build(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        )
    )
    rows = normal_rows(5, 3, 6, 6)

    record = compare(network, export(network, rows), rows, seed=0)

    assert [agreement.name for agreement in record.checks[1].taps] == ["1", "4"]


def test_a_layer_that_is_not_reached_is_refused_by_name(network: nn.Module, graph: FoldedGraph) -> None:
    (layer,) = graph.layers
    other = replace(graph, layers=(layer.model_copy(update={"name": "elsewhere"}),))

    with pytest.raises(VerificationError, match=r"^elsewhere: expected this normalization layer to be reached"):
        compare(network, other, ROWS, seed=0)


def nearly_constant() -> nn.Module:
    """A channel that varies by rounding errors alone, and a layer that makes them as large as the others."""
    network = build(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, eps=1e-14), nn.ReLU(), nn.Linear(4, 2)), seed=3
    )
    with torch.no_grad():
        weight, bias = network.get_parameter("0.weight"), network.get_parameter("0.bias")
        weight[0], bias[0] = 1e-6, 1.0
        network.get_buffer("1.running_mean")[0], network.get_buffer("1.running_var")[0] = 1.0, 1e-12
    return network


def test_rounding_errors_that_the_network_has_too_are_told_and_pass() -> None:
    network = nearly_constant()
    rows = normal_rows(20, 3)

    record = compare(network, export(network, rows), rows, seed=0)

    tap = record.checks[1].taps[0]
    assert tap.max_relative_error > record.tap_tolerance
    assert tap.rounding_error is not None
    assert tap.exact_error is not None
    assert tap.exact_error <= 10 * tap.rounding_error


def test_a_wrong_graph_of_such_a_network_is_refused_all_the_same() -> None:
    network = nearly_constant()
    rows = normal_rows(20, 3)
    wrong = tampered(export(network, rows), "0.bias", lambda bias: 1.5 * bias)

    with pytest.raises(VerificationError, match=r"on random rows the folded graph is"):
        compare(network, wrong, rows, seed=0)


def test_a_network_that_float64_does_not_suit_is_refused_in_one_sentence() -> None:
    network = build(
        lambda: Forward(
            lambda net, x: net.norm(net.linear(x)) @ torch.eye(4), linear=nn.Linear(3, 4), norm=nn.BatchNorm1d(4)
        )
    )
    with torch.no_grad():
        network.get_parameter("linear.bias").fill_(1e4)
        network.get_buffer("norm.running_mean").fill_(1e4)
    rows = normal_rows(20, 3)

    with pytest.raises(VerificationError, match=r"on random rows the folded graph is \S+ off the network"):
        compare(network, export(network, rows), rows, seed=0)


def test_float16_is_held_to_what_float16_can_hold() -> None:
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())).half()
    rows = normal_rows(20, 3).half()

    record = compare(network, export(network, rows), rows, seed=0)

    assert (record.tolerance, record.tap_tolerance) == (HALF_TOLERANCE, HALF_TOLERANCE)


def test_the_unfolded_graph_is_a_reference_too(graph: FoldedGraph) -> None:
    off = tampered(graph, "head.bias", lambda bias: bias + 1e-3)

    record = verify(GraphReference(graph.unfolded), graph, (ROWS.numpy(),), real=True, seed=0)

    assert record.reference.startswith("onnxruntime")
    assert [a.name for check in record.checks for a in (*check.outputs, *check.taps)] == [OUTPUT, "norm"] * 2
    with pytest.raises(VerificationError, match=rf"^{OUTPUT}: on random rows"):
        verify(GraphReference(graph.unfolded), off, (ROWS.numpy(),), real=True, seed=0)


def test_without_real_rows_only_random_ones_are_compared(network: nn.Module, graph: FoldedGraph) -> None:
    signature, _ = read_signature(network, ROWS)

    record = verify(TorchReference(network, signature), graph, (ROWS.numpy(),), real=False, seed=0)

    assert [check.rows for check in record.checks] == ["random"]


def test_random_rows_of_whole_numbers_are_drawn_from_the_example() -> None:
    network = build(
        lambda: nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(8, 4), nn.BatchNorm1d(4), nn.ReLU())
    )
    rows = torch.tensor([[0, 6], [3, 1], [2, 5]])

    record = compare(network, export(network, rows), rows, seed=0)

    assert record.checks[0].num_rows == 64


def test_random_rows_are_like_others_however_many_those_are() -> None:
    """Ten million large images, of which memory has one: only some of them can be looked at."""
    image = np.where(np.arange(224 * 224) % 2, 3.0, 5.0).astype(np.float32).reshape(224, 224)
    rows = np.broadcast_to(image, (10_000_000, 3, 224, 224))

    drawn = random_like(rows, 8, np.random.default_rng(0))

    assert drawn.shape == (8, 3, 224, 224)
    assert drawn.dtype == np.float32
    # a million draws: the mean errs by 1e-3 of the deviation
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [4.0, 1.0], atol=0.01)
