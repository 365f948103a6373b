"""This package is the library of networks; every one is listed here by the name that recipes and manifests use.

``timm/NAME`` and ``torchvision/NAME`` name networks too, where those packages are installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from folding.errors import one_line
from training.errors import RecipeError
from training.networks.bninception import BNInception
from training.networks.convnet import ConvNet
from training.networks.densenet import DenseNet
from training.networks.mlp import MLP
from training.networks.mobilenetv2 import MobileNetV2
from training.networks.packages import is_packaged, packaged_network
from training.networks.preactresnet import PreActResNet
from training.networks.resnet import ResNet
from training.networks.vgg import VGG

# a depth given by position can't be given again by name: `vgg16` is never another one
NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "vgg11": partial(VGG, 11),
    "vgg13": partial(VGG, 13),
    "vgg16": partial(VGG, 16),
    "vgg19": partial(VGG, 19),
    "bninception": BNInception,
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "preactresnet18": partial(PreActResNet, 18),
    "preactresnet34": partial(PreActResNet, 34),
    "preactresnet50": partial(PreActResNet, 50),
    "densenet": DenseNet,
    "densenet121": partial(DenseNet, (6, 12, 24, 16)),
    "mobilenetv2": MobileNetV2,
}


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """What there is to say of a network in one line.

    Attributes:
        name: What recipes call it.
        description: What it is, and the paper that it is from.
        defaults: Every argument and its default, ``in_channels=3, num_classes=1000``.
    """

    name: str
    description: str
    defaults: str


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network by its registered name, or by a package and the package's name for it, ``timm/resnet18``.

    Raises:
        RecipeError: If no network has this name, its package is not installed, or it does not take these arguments.
    """
    build = packaged_network(name) if is_packaged(name) else _listed_network(name)
    try:
        return build(**arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:  # timm asserts what it is given
        raise RecipeError(f"network {name}: arguments: {one_line(error)}") from error


def describe_networks() -> list[NetworkDescription]:
    """Every registered network, in the order of the registry."""
    return [
        NetworkDescription(
            name=name,
            description=(inspect.getdoc(build.func if isinstance(build, partial) else build) or "").split("\n")[0],
            defaults=", ".join(str(parameter) for parameter in _parameters(build)),
        )
        for name, build in NETWORKS.items()
    ]


def _listed_network(name: str) -> Callable[..., nn.Module]:
    if name not in NETWORKS:
        near = "".join(f"; did you mean {match}?" for match in get_close_matches(name, NETWORKS, n=1))
        raise RecipeError(
            f"network: expected one of {', '.join(NETWORKS)}, timm/NAME or torchvision/NAME, got {name!r}{near}"
        )
    return NETWORKS[name]


def _parameters(build: Callable[..., nn.Module]) -> list[inspect.Parameter]:
    """What a network takes by name, without the annotations."""
    parameters = inspect.signature(build).parameters.values()
    return [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
