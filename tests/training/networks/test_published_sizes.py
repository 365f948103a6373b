"""This module compares the networks with the sizes that others publish of them, at 1000 classes and 3 channels.

Sources: ``num_params`` of torchvision's weights (vgg*_bn, resnet*, densenet121, mobilenet_v2); timm's resnetv2_50, a
pre-activation ResNet; pretrainedmodels' bninception. For 32x32 and 10 classes, kuangliu/pytorch-cifar's ResNet18, and
DenseNet-BC-100 (k=12) as osmr/imgclsmob counts it; 0.8 M in Huang et al. (2017), table 2.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from training.networks import build_network
from training.normalization import normalization_layers

CLASSIC = {"head": "classic"}


def counted(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network whose parameters have shapes and take no memory."""
    with torch.device("meta"):
        return build_network(name, arguments)


def parameters(network: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def convolution_channels(network: nn.Module) -> int:
    """How many biases its convolutions would have."""
    return sum(module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("preactresnet50", 25_549_352),
        ("densenet121", 7_978_856),
        ("densenet", 7_978_856),
        ("mobilenetv2", 3_504_872),
    ],
)
def test_a_network_has_as_many_parameters_as_published(name: str, published: int) -> None:
    network = counted(name, {})

    assert parameters(network) == published


@pytest.mark.parametrize(
    ("name", "arguments", "published"),
    [
        ("vgg11", CLASSIC, 132_868_840),
        ("vgg13", CLASSIC, 133_053_736),
        ("vgg16", CLASSIC, 138_365_992),
        ("vgg19", CLASSIC, 143_678_248),
        ("bninception", {}, 11_295_240),
    ],
)
def test_a_network_published_with_biases_has_as_many_parameters_without_them(
    name: str, arguments: Mapping[str, Any], published: int
) -> None:
    network = counted(name, arguments)

    assert parameters(network) == published - convolution_channels(network)


@pytest.mark.parametrize("depth", [18, 34])
def test_a_preactivation_resnet_lacks_the_normalizations_of_the_projections(depth: int) -> None:
    after, before = counted(f"resnet{depth}", {}), counted(f"preactresnet{depth}", {})

    # a scale and a shift for each channel of three projections; the first block's place is taken by the last sum's
    assert parameters(after) - parameters(before) == 2 * (128 + 256 + 512) + 2 * 64 - 2 * 64


def test_a_resnet_with_a_small_stem_has_as_many_parameters_as_published() -> None:
    network = counted("resnet18", {"stem": "small", "num_classes": 10})

    assert parameters(network) == 11_173_962


def test_a_small_densenet_has_as_many_parameters_as_published_and_its_stems_normalization() -> None:
    arguments = {"block_layers": [16, 16, 16], "growth": 12, "stem_channels": 24, "stem": "small", "num_classes": 10}

    network = counted("densenet", arguments)

    assert parameters(network) == 769_162 + 2 * 24


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg11", 8),
        ("vgg13", 10),
        ("vgg16", 13),
        ("vgg19", 16),
        ("bninception", 69),
        ("resnet18", 20),
        ("resnet34", 36),
        ("resnet50", 53),
        ("preactresnet18", 17),
        ("preactresnet34", 33),
        ("preactresnet50", 49),
        ("densenet121", 121),
        ("mobilenetv2", 52),
    ],
)
def test_a_network_normalizes_as_often_as_published(name: str, layers: int) -> None:
    network = counted(name, {})

    assert len(normalization_layers(network)) == layers
