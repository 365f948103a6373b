"""This module is the smallest fit there is: blobs that a network of one hidden layer tells apart in two epochs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from training.data import Rows, Splits
from training.networks.mlp import MLP
from training.recipe import Recipe

CLASSES, FEATURES = 3, 4
STEPS = 3
"""Of an epoch."""


def blobs(count: int, *, seed: int) -> Rows:
    """Rows of three classes that lie 6 standard deviations apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    values = torch.randn(count, FEATURES, generator=generator) + 6.0 * nn.functional.one_hot(labels, FEATURES)
    return Rows(values, labels)


def splits() -> Splits:
    """48 rows to fit to, 15 to validate, 15 to test."""
    return Splits("blobs", ("a", "b", "c"), blobs(48, seed=1), blobs(15, seed=2), blobs(15, seed=3))


def recipe(**changes: Any) -> Recipe:  # noqa: ANN401  fields of a recipe
    """Two epochs of three steps."""
    fields: dict[str, Any] = {
        "name": "blobs",
        "network": "mlp",
        "data": "digits",
        "epochs": 2,
        "batch_rows": 16,
        "learning_rate": 0.05,
    }
    return Recipe(**(fields | changes))


def network() -> MLP:
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLP(FEATURES, CLASSES, widths=(8,))


def state(of: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all that a network keeps."""
    return {name: tensor.detach().clone() for name, tensor in of.state_dict().items()}
