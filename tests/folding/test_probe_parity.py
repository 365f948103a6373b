"""What the probe of a folded graph tells of every layer is what torch's own layers take, for whole networks.

Means are compared in live deviations and variances relative to themselves; see ``tests/folding/observed.py`` for why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from folding.folded import FoldedGraph
from folding.observing import observe
from models.moments import Moments
from models.stacked_moments import StackedMoments
from tests.folding.observed import assert_same_moments, columns_of, live_moments, probe_of
from tests.folding.whole_networks import FOLDED, whole_network
from training.normalization import normalization_layers

ROWS = 24


@dataclass(frozen=True)
class Folded:
    """A network, its folded graph, and rows that are not like those that its statistics come from."""

    network: nn.Module
    graph: FoldedGraph
    rows: Tensor


@pytest.fixture(scope="module", params=FOLDED, ids="-".join)
def folded(request: pytest.FixtureRequest) -> Folded:
    name, mode = request.param
    whole = whole_network(name)
    return Folded(whole.network, whole.fold(mode), 0.8 * whole.rows(ROWS) + 0.3)


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
