from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.blobs import network
from training.errors import RecipeError
from training.initialization import start_blocks_at_zero
from training.networks import build_network

SMALL: dict[str, Any] = {"in_channels": 1, "num_classes": 3, "width": 0.125}
RESIDUAL: dict[str, dict[str, Any]] = {
    "resnet18": {**SMALL, "stem": "small"},
    "resnet50": {**SMALL, "stem": "small"},
    "preactresnet18": {**SMALL, "stem": "small"},
    "preactresnet50": {**SMALL, "stem": "small"},
    "mobilenetv2": SMALL,
}


def added(of: nn.Module, images: torch.Tensor) -> list[float]:
    """What every block's own branch gives, at its largest."""
    found: list[float] = []
    for module in of.modules():
        branch = getattr(module, "residual", None) or (getattr(module, "adds", False) and module.steps)
        if isinstance(branch, nn.Module):
            branch.register_forward_hook(lambda _m, _i, out: found.append(float(out.detach().abs().max())))
    of(images)
    return found


@pytest.mark.parametrize("name", RESIDUAL)
def test_every_residual_block_adds_nothing_yet(name: str) -> None:
    built = build_network(name, RESIDUAL[name])
    images = torch.rand(2, 1, 32, 32)

    start_blocks_at_zero(built, name)

    branches = added(built, images)
    assert len(branches) >= 8
    assert set(branches) == {0.0}


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_block_that_starts_at_zero_learns(name: str) -> None:
    built = build_network(name, RESIDUAL[name])
    images, labels = torch.rand(4, 1, 32, 32), torch.arange(4) % 3
    start_blocks_at_zero(built, name)
    optimizer = torch.optim.SGD(built.parameters(), lr=0.1)

    loss: Tensor = nn.functional.cross_entropy(built(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()

    assert all(largest > 0 for largest in added(built, images))


def test_a_network_without_residual_blocks_is_refused() -> None:
    with pytest.raises(RecipeError) as refusal:
        start_blocks_at_zero(network(), "mlp")

    assert str(refusal.value) == (
        "zero_last_gamma: expected a network with residual blocks that have a zero_init_last(), got mlp"
    )
