"""Networks that can't be fitted are refused before they are, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.blobs import CLASSES, FEATURES, recipe, splits, state
from tests.training.examples import Forward
from training.errors import TrainingError
from training.networks import NETWORKS
from training.preparation import prepare


def forward(function: Callable[[Any, Tensor], Any], **parts: nn.Module) -> Callable[[], nn.Module]:
    """What builds a network whose last part gives the logits."""
    return lambda: Forward(function, **parts, head=nn.Linear(FEATURES, CLASSES))


def asserting(_network: nn.Module, _rows: Tensor) -> Tensor:
    """As timm says what it takes."""
    raise AssertionError("expected 5 features")


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (
            forward(lambda net, x: (net.head(x), x) if net.training else net.head(x)),
            r"network odd: expected logits of shape \(2, 3\) for two rows in training mode, got tuple",
        ),
        (
            forward(lambda net, x: {"logits": net.head(x)}),
            r"network odd: expected logits of shape \(2, 3\) for two rows, got dict",
        ),
        (forward(asserting), r"network odd: expected to take rows of shape \(4,\): expected 5 features"),
        (
            forward(lambda net, x: net.head(net.norm(x[:, :, None].mT)[:, 0]), norm=nn.BatchNorm1d(2)),
            r"network odd: expected to take rows of shape \(4,\): running_mean should contain 1 elements not 2",
        ),
        (
            forward(lambda net, x: net.head(net.norm(net.norm(x).relu())), norm=nn.BatchNorm1d(FEATURES)),
            r"norm: expected one use in a forward pass, got 2",
        ),
    ],
    ids=["more in training", "no tensor", "an assertion", "other channels", "a layer that is used twice"],
)
def test_a_network_that_can_t_be_fitted_is_refused(
    build: Callable[[], nn.Module], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "odd", build)

    with pytest.raises(TrainingError, match=rf"^{problem}$"):
        prepare(recipe(network="odd"), splits())


def test_looking_at_a_network_leaves_it_and_all_chance_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its statistics would move in training mode, and its dropout would draw numbers that the fit is to draw."""

    def build() -> nn.Module:
        made = nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Dropout(), nn.Linear(FEATURES, CLASSES))
        built.update(state=state(made), random=torch.get_rng_state())
        return made

    built: dict[str, Any] = {}
    monkeypatch.setitem(NETWORKS, "odd", build)

    network, _ = prepare(recipe(network="odd"), splits())

    assert torch.equal(torch.get_rng_state(), built["random"])
    assert all(torch.equal(tensor, built["state"][name]) for name, tensor in state(network).items())
    assert all(module.training for module in network.modules())
