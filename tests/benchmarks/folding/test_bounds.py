from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.folding import bound_networks
from benchmarks.folding.bound_networks import KINDS, Kind
from benchmarks.folding.bounds import build_kind, time_kind, without_normalization
from benchmarks.folding.exports import fold_model, operators, trace_network


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.held_to_bound])
def test_nothing_is_left_where_an_exact_rule_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_networks, "REPEATS", 3)  # a first, a last, and one between them
    network, rows = build_kind(KINDS[name])
    _, model = trace_network(network, rows)
    _, bare = trace_network(without_normalization(network), rows)

    folded, bound = (operators(fold_model(traced, "fast").model) for traced in (model, bare))

    assert folded == bound


def test_the_bound_has_no_normalization_layer() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2)))

    bare = without_normalization(network)

    assert not any(isinstance(module, _BatchNorm) for module in bare.modules())
    assert any(isinstance(module, _BatchNorm) for module in network.modules())


def test_a_kind_is_timed_against_its_bound() -> None:
    record = time_kind("linear, rectifier, layer, linear", 0.01)

    assert record.ours.median > 0
    assert record.torch.median > 0
    assert record.normalization_nodes == (6, 0)


def test_a_kind_is_built_with_the_rows_it_asks_for() -> None:
    _, rows = build_kind(Kind(lambda: nn.BatchNorm1d(3), (1, 3)))

    assert rows.shape == torch.Size([2, 3])  # torch takes a single row for a constant
