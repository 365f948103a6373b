"""What is warned of, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from folding.folded import FoldedGraph
from folding.precision import LARGEST_HALF, precision_warnings
from models.health import SCALE_OUTLIER_RATIO
from tests.training.examples import build, export, normal_rows
from training.publishing import export_network

CHANNELS = 8


def network() -> nn.Module:
    """A linear and a normalization layer, healthy."""
    made = build(lambda: nn.Sequential(nn.Linear(6, CHANNELS), nn.BatchNorm1d(CHANNELS)))
    made.get_submodule("1").get_parameter("weight").data.fill_(1.0)
    return made


def changed(change: Callable[[nn.BatchNorm1d], object]) -> FoldedGraph:
    """The folded graph of the network, its normalization layer changed."""
    made = network()
    layer = made.get_submodule("1")
    assert isinstance(layer, nn.BatchNorm1d)
    change(layer)
    return export(made, normal_rows(2, 6))


def warnings(graph: FoldedGraph, largest_weight: float = 1.0) -> list[str]:
    """All warnings of a graph."""
    return list(precision_warnings(graph.layers, graph.normalization, largest_weight))


def scale_one_by(factor: float) -> Callable[[nn.BatchNorm1d], object]:
    """Give every channel the same scale, and one of them a multiple of it."""

    def change(layer: nn.BatchNorm1d) -> None:
        assert layer.running_var is not None
        layer.running_var.fill_(1.0)
        layer.weight.data[3] = factor

    return change


def test_a_healthy_layer_is_not_warned_of() -> None:
    graph = changed(lambda _: None)

    found = warnings(graph)

    assert found == []


def test_channels_whose_variance_collapsed_are_counted() -> None:
    graph = changed(lambda layer: layer.running_var[2:5].copy_(torch.tensor([0.0, 1e-7, 9e-6])))  # type: ignore[index]

    collapsed = warnings(graph)[0]

    # the scale of the first is 1 / sqrt(eps)
    assert collapsed == (
        "1: 3 of 8 channels have a variance below eps (1e-05), so that rounding errors of their input are scaled by up "
        "to 316."
    )


def test_a_variance_of_eps_is_none_that_collapsed() -> None:
    graph = changed(lambda layer: layer.running_var.fill_(2e-5))  # type: ignore[union-attr]

    found = warnings(graph)

    assert found == []


@pytest.mark.parametrize(
    ("factor", "count"),
    [(0.99 * SCALE_OUTLIER_RATIO, 0), (1.01 * SCALE_OUTLIER_RATIO, 1), (-1.01 * SCALE_OUTLIER_RATIO, 1)],
)
def test_a_scale_far_above_the_median_is_warned_of(factor: float, count: int) -> None:
    graph = changed(scale_one_by(factor))

    found = warnings(graph)

    expected = ["1: the largest scale is 101 times the median; quantization by tensor would lose the other channels."]
    assert found == expected * count


def test_scales_of_which_most_are_zero_have_no_spread() -> None:
    graph = changed(lambda layer: layer.weight.data[1:].fill_(0.0))

    found = warnings(graph)

    assert graph.layers[0].scale.max_over_median is None
    assert found == []


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (LARGEST_HALF, []),
        (7e4, ["A constant of the folded graph is 7e+04, more than float16 holds (65504)."]),
    ],
)
def test_a_constant_that_float16_does_not_hold_is_warned_of(largest: float, expected: list[str]) -> None:
    graph = changed(lambda _: None)

    found = warnings(graph, largest)

    assert found == expected


def test_the_largest_constant_is_looked_for_in_the_folded_graph() -> None:
    made = network()
    made.get_submodule("0").get_parameter("weight").data[1, 2] = -2e5
    layer = made.get_submodule("1")
    layer.get_buffer("running_var").fill_(4.0)

    record = export_network(made, normal_rows(2, 6), mode="fast").folding

    # divided by the deviation, 2
    assert record.warnings == ("A constant of the folded graph is 1e+05, more than float16 holds (65504).",)
