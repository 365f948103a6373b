"""What layers take while every batch normalizes itself is what numpy and torch say, however the graph is written."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from folding.batch_statistics import even_batches, measure_layers
from folding.errors import RecalibrationError
from folding.folded import FoldedGraph
from models.moments import Moments
from tests.training.examples import Forward, build, export, normal_rows


def two_layers() -> nn.Module:
    """Two layers, of which the second takes what the first gives."""
    return nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.fixture(scope="module")
def graph() -> FoldedGraph:
    return export(build(two_layers), normal_rows(2, 3, 6, 6))


def test_the_first_layer_takes_what_it_is_given(graph: FoldedGraph) -> None:
    rows = 100 + 3 * normal_rows(50, 3, 6, 6).numpy()  # a mean far from 0 leaves few digits to a variance

    found = measure_layers(graph.unfolded, graph.normalization, [rows], batch_rows=16)["0"]

    expected = Moments.of(rows, channel_axis=1)
    assert found.count == expected.count == 50 * 36
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-7)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-5)


def test_the_second_takes_what_the_first_gives_in_training(graph: FoldedGraph) -> None:
    network, rows = build(two_layers), 2 * normal_rows(40, 3, 6, 6) + 1

    found = measure_layers(graph.unfolded, graph.normalization, [rows.numpy()], batch_rows=40)["3"]

    with torch.no_grad():
        taken = network.train()[:3](rows).numpy()  # type: ignore[index]
    expected = Moments.of(taken, channel_axis=1)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-5)


def test_a_weight_of_almost_nothing_gives_what_inference_gives(graph: FoldedGraph) -> None:
    network, rows = build(two_layers), 2 * normal_rows(40, 3, 6, 6) + 1

    found = measure_layers(graph.unfolded, graph.normalization, [rows.numpy()], batch_rows=7, weight=1e-12)["3"]

    with torch.no_grad():
        taken = network[:3](rows).numpy()  # type: ignore[index]
    np.testing.assert_allclose(found.mean, Moments.of(taken, channel_axis=1).mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "batch_rows", "sizes"),
    [(10, 128, [10]), (10, 10, [10]), (10, 9, [5, 5]), (10, 4, [3, 3, 4]), (3, 1, [1, 1, 1]), (129, 128, [64, 65])],
)
def test_batches_are_few_and_even_and_hold_every_row_once(rows: int, batch_rows: int, sizes: list[int]) -> None:
    array = np.arange(rows)

    batches = [batch for (batch,) in even_batches([array], batch_rows)]

    assert sorted(map(len, batches)) == sizes
    np.testing.assert_array_equal(np.concatenate(batches), array)


def test_a_layer_without_statistics_stays(graph: FoldedGraph) -> None:
    network = build(lambda: nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.BatchNorm1d(4)))
    rows = normal_rows(30, 4)
    folded = export(network, rows)

    found = measure_layers(folded.unfolded, folded.normalization, [rows.numpy()], batch_rows=30)

    with torch.no_grad():
        taken = network[0](rows).numpy()  # type: ignore[index]
    assert [untracked.name for untracked in folded.untracked] == ["0.batch_norm"]
    np.testing.assert_allclose(found["1"].variance, Moments.of(taken, channel_axis=1).variance, rtol=1e-5)
    assert graph.untracked == ()


def test_a_graph_that_the_runtime_can_t_load_is_refused_in_one_sentence(graph: FoldedGraph) -> None:
    broken = onnx.load_from_string(graph.unfolded)
    next(node for node in broken.graph.node if node.op_type == "Conv").op_type = "NoSuchOperator"

    with pytest.raises(RecalibrationError, match=r"^statistics by batches: graph: expected one that ONNX Runtime"):
        measure_layers(broken.SerializeToString(), graph.normalization, [normal_rows(4, 3, 6, 6).numpy()], batch_rows=4)


def test_the_graph_s_own_names_are_not_in_the_way() -> None:
    network = build(
        lambda: Forward(
            lambda net, x: net.mean(x) + net.variance(x), mean=nn.BatchNorm1d(4), variance=nn.BatchNorm1d(4)
        )
    )
    rows = normal_rows(30, 4)
    folded = export(network, rows)

    found = measure_layers(folded.unfolded, folded.normalization, [rows.numpy()], batch_rows=30)

    np.testing.assert_allclose(found["mean"].mean, found["variance"].mean)
