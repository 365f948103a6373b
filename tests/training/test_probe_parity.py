"""What the probe of a folded graph tells of every layer is what torch's own layers take, for whole networks.

Means are compared in live deviations and variances relative to themselves; see ``tests/folding/observed.py`` for why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from folding.folded import FoldedGraph, LayerSource, fold_graph
from folding.observing import observe
from models.manifest import FoldMode
from models.moments import Moments
from models.stacked_moments import StackedMoments
from tests.folding.observed import assert_same_moments, columns_of, live_moments, probe_of
from tests.training.examples import build, normal_rows
from training.networks import build_network
from training.normalization import normalization_layers
from training.tracing import read_signature, trace

SMALL: dict[str, object] = {"num_classes": 5, "width": 0.125}
STEM: dict[str, object] = {"stem": "small"}

NETWORKS: Mapping[str, tuple[Mapping[str, object], tuple[int, ...]]] = {
    "convnet": ({"in_channels": 3, "widths": [8, 8, 12]}, (3, 32, 32)),
    "mlp": ({"in_features": 16, "widths": [12, 10]}, (16,)),
    "vgg11": (SMALL, (3, 32, 32)),
    "resnet18": (SMALL | STEM, (3, 32, 32)),
    "preactresnet18": (SMALL | STEM, (3, 32, 32)),
    "densenet": (
        {"num_classes": 5, "stem": "small", "block_layers": [2, 3], "growth": 4, "stem_channels": 8},
        (3, 32, 32),
    ),
    "mobilenetv2": (SMALL | STEM, (3, 32, 32)),
    "bninception": (SMALL, (3, 32, 32)),
}
"""Plain, residual, forward-folded and concatenated: arguments, and the shape of one row."""

MODES: tuple[FoldMode, ...] = ("fast", "complete")

ROWS = 24


@dataclass(frozen=True)
class Folded:
    """A network, its folded graph, and rows that are not like those that its statistics come from."""

    network: nn.Module
    graph: FoldedGraph
    rows: Tensor


def settled(name: str, arguments: Mapping[str, object], row: tuple[int, ...]) -> nn.Module:
    """A network with the statistics of some random rows, and gamma of both signs and not near 0.

    A gamma of a hundredth would multiply by a hundred what float32 rounds off, in torch as in the folded graph.
    """
    network = build(lambda: build_network(name, arguments))
    for layer in normalization_layers(network).values():
        layer.momentum = 1.0
        with torch.no_grad():
            layer.weight.copy_(layer.weight.sign() * (0.5 + layer.weight.abs().clamp(max=1.0)))
    network.train()
    with torch.no_grad():
        network(normal_rows(32, *row, seed=5))
    return network.eval()


@cache
def traced(name: str) -> tuple[nn.Module, ir.Model]:
    """A network and its graph before folding, which takes torch some seconds."""
    arguments, row = NETWORKS[name]
    network = settled(name, arguments, row)
    return network, trace(network, *read_signature(network, normal_rows(2, *row)))


@pytest.fixture(scope="module", params=[(name, mode) for name in NETWORKS for mode in MODES], ids="-".join)
def folded(request: pytest.FixtureRequest) -> Folded:
    name, mode = request.param
    network, model = traced(name)
    graph = fold_graph(model.clone(), mode=mode, sources=lambda _: LayerSource("BatchNorm", None, 1))
    return Folded(network, graph, 0.8 * normal_rows(ROWS, *NETWORKS[name][1]) + 0.3)


def hooked_moments(network: nn.Module, rows: Tensor) -> dict[str, Moments]:
    """The moments of what every normalization layer takes, by forward hooks in torch."""
    found: dict[str, Moments] = {}

    def keep(name: str) -> object:
        def hook(_: nn.Module, taken: tuple[Tensor, ...]) -> None:
            found[name] = Moments.of(taken[0].numpy(), channel_axis=1)

        return hook

    layers = normalization_layers(network)
    handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]  # type: ignore[arg-type]
    with torch.no_grad():
        network(rows.clone())
    for handle in handles:
        handle.remove()
    return found


def test_every_layer_is_told_the_moments_that_torch_takes(folded: Folded) -> None:
    """Channel by channel, at 1e-4 of a deviation and of a variance, wherever the layer was folded to."""
    expected = hooked_moments(folded.network, folded.rows)

    found = live_moments(folded.graph, folded.rows)

    assert set(found) == set(normalization_layers(folded.network))
    assert_same_moments(found, expected)


@pytest.mark.parametrize("sizes", [[1] * ROWS, [7, 1, 16], [23, 1]], ids=["one by one", "three", "all but one"])
def test_any_split_into_batches_gives_the_same_moments(folded: Folded, sizes: list[int]) -> None:
    """A run computes the same of a row in whatever company, but for what ONNX Runtime rounds in another order."""
    columns, probe = columns_of(folded.graph), probe_of(folded.graph, folded.rows)

    def moments(batches: tuple[Tensor, ...]) -> StackedMoments:
        merged = StackedMoments.empty(len(columns))
        for batch in batches:
            for run in observe(folded.graph.model, probe, columns, [batch.numpy()]):
                merged = merged.merge(StackedMoments.of(run))
        return merged

    split, whole = moments(torch.split(folded.rows, sizes)), moments((folded.rows,))

    assert split.rows == whole.rows == ROWS
    np.testing.assert_array_equal(split.count, whole.count)
    # float32 rounds by 6e-8, and a dozen layers behind one another add up what they rounded
    np.testing.assert_allclose(split.mean, whole.mean, rtol=0, atol=2e-5)
    np.testing.assert_allclose(split.variance, whole.variance, rtol=2e-5)
