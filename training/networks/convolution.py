"""This module is what the published networks are made of: convolutions without a bias, normalized, and how wide.

A convolution in front of a normalization learns no bias, since the normalization would subtract it again (Ioffe &
Szegedy 2015, section 3.2). Its weights start as He et al. (2015), equation 10, have it: normal, with a variance of 2
over the number of values that one output sums.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar

from torch import nn

Key = TypeVar("Key")
Value = TypeVar("Value")


def convolution(in_channels: int, out_channels: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution of ``size`` x ``size`` without a bias; padded, so that the image shrinks by its stride alone."""
    layer = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    return layer


def normalized_convolution(
    in_channels: int,
    out_channels: int,
    size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """A convolution, its normalization and, unless it is None, the activation."""
    layers: dict[str, nn.Module] = {
        "conv": convolution(in_channels, out_channels, size, stride=stride, groups=groups),
        "norm": nn.BatchNorm2d(out_channels),
    }
    if activation is not None:
        layers["activation"] = activation()
    return nn.Sequential(OrderedDict(layers))


def zero_gamma(normalized: nn.Module) -> None:
    """Set the scale of a normalized convolution to 0, so that it gives its shift alone, which starts at 0."""
    norm = normalized.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.zeros_(norm.weight)


def scale(channels: int, width: float, *, multiple: int = 1) -> int:
    """A number of channels times ``width``, to the nearest ``multiple`` that is no less than 90 % of it.

    Raises:
        ValueError: If ``width`` is not above 0.
    """
    if not width > 0:
        raise ValueError(f"width: expected a number above 0, got {width!r}")
    exact = channels * width
    nearest = max(multiple, int(exact + multiple / 2) // multiple * multiple)
    return nearest if nearest >= 0.9 * exact else nearest + multiple


def choose(argument: str, value: Key, options: Mapping[Key, Value]) -> Value:
    """What an argument stands for.

    Raises:
        ValueError: If it is none of the options.
    """
    if value not in options:
        raise ValueError(f"{argument}: expected one of {', '.join(map(str, options))}, got {value!r}")
    return options[value]
