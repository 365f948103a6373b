"""This module makes every network of the library so small that tests can afford to run it on images of 3x32x32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.networks import build_network

CLASSES = 7
NARROW = {"width": 0.125}
NARROW_WITH_SMALL_STEM = {**NARROW, "stem": "small"}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "convnet": {"in_channels": 3, "widths": [6, 6, 12]},
    "mlp": {"in_features": 3 * 32 * 32, "widths": [6, 6, 12]},
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19", "bninception"), NARROW),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50"), NARROW_WITH_SMALL_STEM),
    **dict.fromkeys(("preactresnet18", "preactresnet34", "preactresnet50"), NARROW_WITH_SMALL_STEM),
    "densenet": {"block_layers": [2, 3], "stem": "small", "stem_channels": 8, "growth": 4},
    "densenet121": {"stem": "small", "stem_channels": 8, "growth": 4},
    "mobilenetv2": {"stem": "small", "width": 0.25},
}


def small_network(name: str, *, seed: int = 0, **changes: object) -> nn.Module:
    """A network of the library with 7 classes, the same one every time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(name, {"num_classes": CLASSES, **SMALL[name], **changes})


def images(rows: int, size: int = 32, *, seed: int = 1) -> Tensor:
    """Rows of three channels of noise."""
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))
