from __future__ import annotations

import dataclasses

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from benchmarks.folding.exports import fold_model, trace_network
from benchmarks.folding.statistics import train_on
from benchmarks.folding.verify import verify_architecture, verify_graph, verify_mode
from models.manifest import FoldMode


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3))
    train_on(network, torch.randn(16, 2, 8, 8))
    return network


@pytest.fixture
def rows() -> Tensor:
    return torch.randn(4, 2, 8, 8)


@pytest.mark.parametrize("mode", ["fast", "complete"])
def test_a_right_fold_agrees(network: nn.Module, rows: Tensor, mode: FoldMode) -> None:
    signature, model = trace_network(network, rows)

    verified = verify_mode(network, signature, model, rows, mode=mode)

    assert verified.failure is None
    assert verified.placements == {"folded-backward": 1, "folded-forward": 1}
    assert verified.normalization_nodes_after == 0
    assert verified.output_error is not None
    assert verified.output_error < 1e-5  # the tolerance


def test_a_wrong_fold_is_told_from_rounding(network: nn.Module, rows: Tensor) -> None:
    signature, model = trace_network(network, rows)
    graph = fold_model(model, "fast")
    wrong = dataclasses.replace(graph, model=_scale_first_weights(graph.model, by=1.01))

    verified = verify_graph(network, signature, wrong, rows, started=0.0)

    assert verified.failure is not None
    assert verified.output_error is None
    assert verified.rounding is not None
    assert verified.rounding.torch_output < 1e-5  # float32 rounds by 6e-8, and there are few operations
    assert verified.rounding.graph_output > 1e-4  # the weights are off by 1e-2


def test_folding_leaves_what_was_traced(network: nn.Module, rows: Tensor) -> None:
    signature, model = trace_network(network, rows)

    first, second = (verify_mode(network, signature, model, rows, mode="fast") for _ in range(2))

    assert first.placements == second.placements
    assert first.output_error == second.output_error


def test_an_architecture_is_verified_in_both_modes() -> None:
    record = verify_architecture("mlp", 0.0)

    assert [verified.mode for verified in record.modes] == ["fast", "complete"]
    assert [verified.failure for verified in record.modes] == [None, None]


def _scale_first_weights(model: bytes, *, by: float) -> bytes:
    proto = onnx.load_from_string(model)
    first = next(tensor for tensor in proto.graph.initializer if len(tensor.dims) == 4)
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * by, first.name))
    return bytes(proto.SerializeToString())
