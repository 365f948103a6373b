from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.folding.exports import INPUT, trace_network
from benchmarks.folding.rule_variants import VARIANTS, write_variants
from benchmarks.folding.rules import time_variants
from benchmarks.folding.statistics import train_on
from benchmarks.folding.timing import normal_feed
from folding.speed import open_session


class PreActivated(nn.Module):
    """An image that is added to what a layer, a rectifier and a convolution make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """An image of the same shape."""
        return image + self.block(image)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def written() -> tuple[dict[str, bytes], dict[str, int]]:
    torch.manual_seed(0)
    network = nn.Sequential(PreActivated(), PreActivated())
    train_on(network, torch.randn(16, 4, 6, 6), zero=0.0)
    _, model = trace_network(network, torch.randn(2, 4, 6, 6))
    return write_variants(model)


def test_every_variant_writes_every_layer(written: tuple[dict[str, bytes], dict[str, int]]) -> None:
    _, layers = written

    assert layers == dict.fromkeys(VARIANTS, 2) | {"kept": 0}


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant not in ("kept", "deleted")])
def test_a_variant_computes_the_same(variant: str, written: tuple[dict[str, bytes], dict[str, int]]) -> None:
    graphs, _ = written
    feed = dict(normal_feed({INPUT: (3, 4, 6, 6)}))

    kept, other = (open_session(graphs[name]).run(None, feed)[0] for name in ("kept", variant))

    np.testing.assert_allclose(other, kept, rtol=1e-5, atol=1e-5)  # float32, a few operations on values of about 1


def test_operators_are_timed_against_the_normalization_node() -> None:
    record = time_variants("(1, 64)", 0.01)

    assert set(record.ratios) == {"product and sum", "one sum", "lower bound", "both bounds", "deleted"}
    assert all(ratio.median > 0 for ratio in record.ratios.values())
