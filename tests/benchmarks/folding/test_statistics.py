from __future__ import annotations

import torch
from torch import nn

from benchmarks.folding.architectures import architecture
from benchmarks.folding.statistics import build, train_on


def test_a_layer_has_the_statistics_of_what_it_takes() -> None:
    network = nn.Sequential(nn.Linear(4, 300), nn.BatchNorm1d(300))
    rows = torch.randn(32, 4)

    train_on(network, rows)

    layer = network[1]
    assert isinstance(layer, nn.BatchNorm1d)
    taken = network[0](rows)
    torch.testing.assert_close(layer.running_mean, taken.mean(dim=0))
    torch.testing.assert_close(layer.running_var, taken.var(dim=0))
    assert not layer.training


def test_some_scales_are_negative_and_some_are_zero() -> None:
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(1000)

    train_on(layer, torch.randn(8, 1000))

    assert 20 <= int((layer.weight < 0).sum()) <= 80  # 5 % of 1000, within four standard deviations
    assert 1 <= int((layer.weight == 0).sum()) <= 25  # 1 %, likewise


def test_scales_that_start_at_zero_are_drawn_too() -> None:
    layer = nn.BatchNorm1d(8)
    nn.init.zeros_(layer.weight)

    train_on(layer, torch.randn(8, 8), negative=0.0, zero=0.0)

    assert (layer.weight >= 0.5).all()


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = (build(architecture("mlp"), seed=3).state_dict() for _ in range(2))

    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
