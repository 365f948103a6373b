"""This module tests what is added to a folded graph to observe it: that it tells the truth, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from folding.errors import VerificationError
from folding.folded import FoldedGraph, LayerSource, fold_graph
from folding.probe import LARGEST_MEAN, PREFIX, make_probe
from folding.references import GraphReference
from folding.speed import open_session
from models.manifest import FoldMode
from models.moments import Moments
from models.observed_rows import PROBE_OUTPUTS
from models.stacked_moments import StackedMoments
from tests.folding.observed import (
    assert_same_moments,
    columns_of,
    fold_file,
    live_moments,
    probe_of,
    run_probe,
    torch_moments,
)
from tests.training.examples import Forward, build, export, fold, normal_rows, relative_error, run_graph, traced
from tests.training.onnx_files import CHANNELS, images, make, normalize, random, statistics
from training.normalization import normalization_layers

TOLERANCE = 1e-5
"""Of the largest value: what the runtime rounds in another order where the probe reads a tensor too."""

MODES: tuple[FoldMode, ...] = ("fast", "complete")
ROW = (3, 7, 7)


def branched() -> nn.Module:
    """Layers that are folded backward and forward, split over a concatenation, and kept or affine."""
    return Forward(
        lambda net, x: net.head(
            net.last(torch.cat([net.first(net.a(x)).relu(), net.joined(net.b(x) + net.c(x))], dim=1)).relu()
        ).mean((2, 3)),
        a=nn.Conv2d(3, 4, 3),
        first=nn.BatchNorm2d(4),
        b=nn.Conv2d(3, 5, 3),
        c=nn.Conv2d(3, 5, 3),
        joined=nn.BatchNorm2d(5, eps=1e-3),
        last=nn.BatchNorm2d(9),
        head=nn.Conv2d(9, 2, 1),
    )


def as_rows() -> nn.Module:
    """A layer that takes ``(rows * 5, 6)``, as in LeViT (Graham et al. 2021), and one that takes ``(rows, 6, 5)``."""
    return Forward(
        lambda net, x: net.head(
            net.steps(net.norm(net.linear(x).flatten(0, 1)).unflatten(0, (-1, 5)).relu().transpose(1, 2)).flatten(1)
        ),
        linear=nn.Linear(4, 6),
        norm=nn.BatchNorm1d(6),
        steps=nn.BatchNorm1d(6),
        head=nn.Linear(30, 2),
    )


def vectors() -> nn.Module:
    """A layer of vectors: one value a row and channel."""
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def steady(make_network: Callable[[], nn.Module]) -> nn.Module:
    """A network of random figures, its gamma of either sign and not near 0: that would multiply what is rounded."""
    network = build(make_network)
    for layer in normalization_layers(network).values():
        with torch.no_grad():
            layer.weight.copy_(layer.weight.sign() * (0.5 + layer.weight.abs().clamp(max=1.0)))
    return network


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "branches": (branched, ROW),
    "steps as rows": (as_rows, (5, 4)),
    "vectors": (vectors, (4,)),
}


@cache
def built(name: str) -> tuple[nn.Module, ir.Model]:
    """The network of a case, and its graph before it is folded."""
    make_network, row = CASES[name]
    network = steady(make_network)
    return network, traced(network, normal_rows(2, *row))


class Case:
    """A network, the graph that came of it in one mode, and the graph's probe."""

    def __init__(self, name: str, mode: FoldMode) -> None:
        _, self.row = CASES[name]
        self.network, graph = built(name)
        self.graph = fold(graph, self.network, mode)
        self.probe = probe_of(self.graph, self.rows(2))

    def rows(self, count: int) -> Tensor:
        """Random rows, not like those that the statistics say."""
        return 1.5 * normal_rows(count, *self.row) + 0.5


@pytest.fixture(scope="module", params=[(name, mode) for name in CASES for mode in MODES], ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*request.param)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_outputs_stay_what_they_were(case: Case, count: int) -> None:
    """The observing graph answers in the place of the plain one."""
    rows = case.rows(count)
    session = open_session(case.graph.model + case.probe)

    found = session.run(None, {case.graph.inputs[0].name: rows.numpy()})

    plain = run_graph(case.graph, rows)
    assert [output.name for output in session.get_outputs()] == [*(o.name for o in case.graph.outputs), *PROBE_OUTPUTS]
    for record, array in zip(case.graph.outputs, found, strict=False):
        assert relative_error(array, plain[record.name]) <= TOLERANCE


def test_nothing_but_additions_is_made(case: Case) -> None:
    """All that the graph had is there, in its place; what is new comes after it, under names of its own."""
    plain, probe, both = (
        onnx.load_from_string(data) for data in (case.graph.model, case.probe, case.graph.model + case.probe)
    )

    onnx.checker.check_model(both, full_check=True)

    for field in ("node", "initializer", "input", "output"):
        before, added, after = (list(getattr(model.graph, field)) for model in (plain, probe, both))
        assert after == before + added
    for field in ("ir_version", "opset_import", "producer_name"):
        assert getattr(both, field) == getattr(plain, field)
    assert both.graph.name == plain.graph.name
    assert not probe.graph.input
    names = [*(name for node in probe.graph.node for name in node.output), *(t.name for t in probe.graph.initializer)]
    assert all(name.startswith(PREFIX) for name in names)
    assert len(set(names)) == len(names)


def test_the_probe_holds_no_weights(case: Case) -> None:
    """It is small, whatever it observes: its constants are sizes, and at most two numbers a channel."""
    probe = onnx.load_from_string(case.probe)

    numbers = sum(onnx.numpy_helper.to_array(tensor).size for tensor in probe.graph.initializer)

    assert numbers <= 2 * len(columns_of(case.graph)) + 10 * len(case.graph.layers) + 10


def test_every_figure_is_numpys_of_what_the_tap_holds(case: Case) -> None:
    """Mean and variance over the positions of a row; over the whole batch where rows can't be told apart."""
    rows = case.rows(8)
    tensors = run_graph(case.graph, rows)

    means, variances, values = run_probe(case.graph, case.probe, rows)

    for part, layer, count in zip(columns_of(case.graph).slices, case.graph.layers, values, strict=True):
        held = np.moveaxis(tensors[layer.tap.tensor].astype(np.float64), layer.tap.channel_axis, 0)
        held = held.reshape(layer.channels, 8, -1)
        if len(tensors[layer.tap.tensor]) != 8:
            held = np.tile(held.reshape(layer.channels, 1, -1), (1, 8, 1))
            assert count * 8 == held.shape[2]
        else:
            assert count == held.shape[2]
        # float32: a sum of at most some hundred values, of size 10 at most
        np.testing.assert_allclose(means[:, part], held.mean(axis=2).T, rtol=0, atol=1e-5)
        np.testing.assert_allclose(variances[:, part], held.var(axis=2).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_every_layer_is_told_what_torch_lets_it_take(case: Case, count: int) -> None:
    """The moments of the layer's input, from whatever its tap holds."""
    rows = case.rows(count)

    found = live_moments(case.graph, rows)

    expected = torch_moments(case.network, case.graph, rows)
    for layer in case.graph.normalization:
        got, want, deviation = found[layer.name], expected[layer.name], layer.deviation
        assert got.count == want.count
        # in training deviations: one row of one value has no live deviation
        np.testing.assert_allclose(got.mean / deviation, want.mean / deviation, rtol=0, atol=2e-5)
        np.testing.assert_allclose(got.variance / deviation**2, want.variance / deviation**2, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("sizes", [[1] * 12, [5, 7], [2, 3, 6, 1]], ids=["one by one", "two", "four"])
def test_any_split_of_the_rows_gives_the_same_moments(case: Case, sizes: list[int]) -> None:
    """Also where the figures are of a whole run, told for every row of it."""
    columns, rows = columns_of(case.graph), case.rows(12)

    split = StackedMoments.empty(len(columns))
    for batch in torch.split(rows, sizes):
        split = split.merge(StackedMoments.of(columns.read(*run_probe(case.graph, case.probe, batch))))

    whole = StackedMoments.of(columns.read(*run_probe(case.graph, case.probe, rows)))
    np.testing.assert_array_equal(split.count, whole.count)
    # what ONNX Runtime rounds in float32 in another order; merging is exact
    np.testing.assert_allclose(split.mean, whole.mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(split.variance, whole.variance, rtol=1e-5)


def test_a_graph_without_layers_has_no_probe() -> None:
    """There is nothing to observe."""
    graph = export(nn.Sequential(nn.Linear(4, 2)).eval(), normal_rows(2, 4))

    assert make_probe(graph, [np.zeros((2, 4), np.float32)]) is None


def test_the_same_graph_has_the_same_probe() -> None:
    """Byte by byte, whatever rows it was looked at with."""
    graph = export(steady(vectors), normal_rows(2, 4))

    probes = {probe_of(graph, rows) for rows in (normal_rows(1, 4), normal_rows(9, 4, seed=3))}

    assert len(probes) == 1


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float16, 2e-3), (torch.float64, 1e-5)])
def test_other_precisions_are_observed_in_float32(kind: torch.dtype, tolerance: float) -> None:
    """Sums of halves would overflow; and float32 is what a probe tells."""
    network = steady(vectors)
    rows = 1.5 * normal_rows(40, 4) + 0.5
    graph = export(network.to(kind), rows.to(kind))
    probe = probe_of(graph, rows.to(kind))

    means, variances, values = run_probe(graph, probe, rows.to(kind))

    columns = columns_of(graph)
    found = StackedMoments.of(columns.read(means, variances, values)).of_inputs(columns, graph.normalization)
    expected = torch_moments(network.double(), graph, rows.to(kind).double())
    assert means.dtype == variances.dtype == np.float32
    # float16 rounds by 5e-4 of the values of a tap
    assert_same_moments(
        {layer.name: moments for layer, moments in zip(graph.layers, found, strict=True)},
        expected,
        mean_tolerance=tolerance,
        variance_tolerance=2 * tolerance,
    )


def file_moments(graph: FoldedGraph, rows: np.ndarray) -> dict[str, Moments]:
    """The moments of what every layer takes in the unfolded graph."""
    at_inputs = [
        layer.model_copy(update={"tap": layer.tap.model_copy(update={"side": "input"})}) for layer in graph.layers
    ]
    _, taken = GraphReference(graph.unfolded).run([rows], at_inputs)
    return {name: Moments.of(array, channel_axis=1) for name, array in taken.items()}


@pytest.mark.parametrize("opset", [9, 13, 17, 18, 20])
def test_an_imported_file_of_any_opset_is_observed(opset: int) -> None:
    """It is folded in a later opset than it came in, or in its own."""
    graph, rows = fold_file(images(opset=opset)), random(20, 3, 8, 8, seed=2)

    found = live_moments(graph, torch.from_numpy(rows))

    assert_same_moments(found, file_moments(graph, rows))


@pytest.mark.parametrize("opset", [13, 17])
def test_a_graph_of_an_opset_whose_axes_are_attributes_is_observed(opset: int) -> None:
    """Until opset 18 a reduction had its axes as an attribute."""
    graph = fold_graph(
        ir.from_proto(images(opset=opset)), mode="fast", sources=lambda _: LayerSource("BatchNormalization", None, None)
    )
    rows = random(20, 3, 8, 8, seed=2)

    found = live_moments(graph, torch.from_numpy(rows))

    assert onnx.load_from_string(graph.model).opset_import[0].version == opset
    assert_same_moments(found, file_moments(graph, rows))


def any_size() -> onnx.ModelProto:
    """Convolution and normalization of images of any height and width, and their average."""
    parameters = statistics("bn")
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["convolved"], name="conv"),
        normalize("convolved", "normalized", list(parameters), name="normalize"),
        helper.make_node("Relu", ["normalized"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
    ]
    return make(
        nodes,
        {"image": ("rows", 3, "height", "width")},
        {"pooled": ("rows", CHANNELS, 1, 1)},
        {"weight": random(CHANNELS, 3, 3, 3), **parameters},
    )


@pytest.mark.parametrize("size", [(3, 3), (8, 5), (16, 16)])
def test_images_of_any_size_are_observed(size: tuple[int, int]) -> None:
    """The number of values is that of the run, not of the rows that the probe was made with."""
    graph = fold_file(any_size())
    probe = probe_of(graph, torch.from_numpy(random(2, 3, 8, 8)))
    rows = random(6, 3, *size, seed=4)

    means, variances, values = run_probe(graph, probe, torch.from_numpy(rows))

    columns = columns_of(graph)
    (found,) = StackedMoments.of(columns.read(means, variances, values)).of_inputs(columns, graph.normalization)
    assert values.tolist() == [(size[0] - 2) * (size[1] - 2)]
    assert_same_moments({graph.layers[0].name: found}, file_moments(graph, rows))


def far_off(gamma: float, beta: float) -> tuple[FoldedGraph, nn.Module, Tensor]:
    """A layer whose tap holds values about beta that vary by gamma, its statistics those of the rows; and the rows."""
    norm = nn.BatchNorm2d(3, momentum=1.0)
    network = build(lambda: nn.Sequential(nn.Conv2d(2, 3, 1), norm, nn.ReLU(), nn.Conv2d(3, 2, 1))).train()
    rows = normal_rows(16, 2, 6, 6)
    with torch.no_grad():
        norm.weight.fill_(gamma)
        norm.bias.fill_(beta)
        network(rows)
    return export(network.eval(), rows), network, rows


@pytest.mark.parametrize(("gamma", "beta"), [(0.5, 100.0), (0.05, -30.0), (-0.02, 20.0)])
def test_a_large_mean_costs_the_variance_nothing(gamma: float, beta: float) -> None:
    """Means of 200 to 1,000 deviations, where the mean square less the square of the mean is rounding alone.

    What is left is what the graph itself rounds: 6e-8 of a value of a thousand deviations.
    """
    graph, network, rows = far_off(gamma, beta)

    found = live_moments(graph, rows)

    expected = torch_moments(network, graph, rows)
    assert_same_moments(found, expected, mean_tolerance=2e-4, variance_tolerance=1e-3)
    held = run_graph(graph, rows)[graph.layers[0].tap.tensor]
    square = np.square(held).mean(axis=(0, 2, 3)) - np.square(held.mean(axis=(0, 2, 3)))
    assert np.abs(square / gamma**2 - 1).max() > 0.001  # in float32, without the reference


@pytest.mark.parametrize(("beta", "subtractions"), [(0.9 * LARGEST_MEAN, 1), (1.1 * LARGEST_MEAN, 2)])
def test_a_reference_is_taken_away_only_where_it_pays(beta: float, subtractions: int) -> None:
    """One subtraction is that of the variance; the other reads every value of the tap."""
    graph, _, rows = far_off(1.0, beta)

    probe = onnx.load_from_string(probe_of(graph, rows))

    assert [node.op_type for node in probe.graph.node].count("Sub") == subtractions


def test_channels_without_a_gamma_are_observed_by_nobody() -> None:
    """The others of their layer are, and a far-off beta of theirs is no reason for a reference."""
    network = steady(branched)
    first: Any = network.get_submodule("first")
    with torch.no_grad():
        first.weight[1], first.bias[1] = 0, 1e3
    graph, rows = export(network, normal_rows(2, *ROW)), normal_rows(12, *ROW)

    found = live_moments(graph, rows)

    assert np.isnan(found["first"].mean).tolist() == [False, True, False, False]
    assert_same_moments(
        {"first": found["first"]}, {"first": torch_moments(network, graph, rows)["first"]}, unobservable=["first"]
    )


def test_a_graph_that_cannot_be_run_is_refused() -> None:
    """Its taps' shapes are looked at in ONNX Runtime."""
    graph = export(steady(vectors), normal_rows(2, 4))
    missing = graph.layers[0].model_copy(update={"tap": graph.layers[0].tap.model_copy(update={"tensor": "not there"})})

    with pytest.raises(VerificationError, match=r"^graph: expected one that ONNX Runtime can load"):
        make_probe(replace(graph, layers=(missing,)), [np.zeros((2, 4), np.float32)])
