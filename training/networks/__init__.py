"""This package is the library of networks; every one is listed here by the name that recipes and manifests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from training.errors import RecipeError, one_line
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "convnet": ConvNet,
    "mlp": MLP,
}


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network by its registered name.

    Raises:
        RecipeError: If no network has this name, or it does not take these arguments.
    """
    if name not in NETWORKS:
        raise RecipeError(f"network: expected one of {', '.join(NETWORKS)}, got {name!r}")
    try:
        return NETWORKS[name](**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(f"network {name}: arguments: {one_line(error)}") from error
