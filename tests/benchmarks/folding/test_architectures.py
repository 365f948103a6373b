from __future__ import annotations

import pytest
import torch

from benchmarks.folding.architectures import ARCHITECTURES, OWN, Architecture
from training.networks import NETWORKS, build_network


def test_many_families_are_measured() -> None:
    """Issue 3 asks for 40 architectures of 25 families."""
    assert len({architecture.name for architecture in ARCHITECTURES}) == len(ARCHITECTURES) >= 44
    assert len({architecture.family for architecture in ARCHITECTURES}) >= 28


@pytest.mark.parametrize("architecture", OWN, ids=lambda architecture: architecture.name)
def test_every_network_of_the_library_takes_its_rows(architecture: Architecture) -> None:
    """On the device that only knows shapes."""
    with torch.device("meta"):
        network = build_network(architecture.name, architecture.arguments).eval()
        rows = torch.empty(2, *architecture.row_shape)

    logits = network(rows)

    assert logits.shape[0] == 2
    assert architecture.name in NETWORKS
