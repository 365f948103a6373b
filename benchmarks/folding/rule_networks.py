"""This module has the networks in which normalization layers stand that nothing takes in whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from training.networks import build_network

REPEATS = 6


@dataclass(frozen=True, slots=True)
class Setting:
    """One network, the shape of its input, rows included, and which part of its scales is negative."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    negative: float = 0.0


class Gate(nn.Module):
    """``relu(normalization(x)) * x``: what is behind the rectifier takes in neither scale nor shift."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.normalization = nn.BatchNorm1d(features)
        self.relu = nn.ReLU()

    def forward(self, value: Tensor) -> Tensor:
        """A tensor of the same shape."""
        return self.relu(self.normalization(value)) * value  # type: ignore[no-any-return]


class PreActivated(nn.Module):
    """``x + weights(relu(normalization(x)))``."""

    def __init__(self, features: int, weights: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.BatchNorm1d(features), nn.ReLU(), weights)

    def forward(self, value: Tensor) -> Tensor:
        """A tensor of the same shape."""
        return value + self.block(value)  # type: ignore[no-any-return]


def _repeat(make: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(*(make() for _ in range(REPEATS)))


def _pre_activated_linear(features: int) -> nn.Module:
    return _repeat(lambda: PreActivated(features, nn.Linear(features, features)))


def _pre_activated_convolution(channels: int, size: int) -> nn.Module:
    return _repeat(lambda: PreActivated(channels, nn.Conv1d(channels, channels, size, padding=size // 2)))


MIXED = ", 5 % negative"

SETTINGS: Mapping[str, Setting] = {
    "densenet121, 224x224": Setting(lambda: build_network("densenet121", {}), (1, 3, 224, 224)),
    "densenet121, 64x64": Setting(lambda: build_network("densenet121", {}), (1, 3, 64, 64)),
    "densenet121, 64x64" + MIXED: Setting(lambda: build_network("densenet121", {}), (1, 3, 64, 64), 0.05),
    "preactresnet50, 224x224": Setting(lambda: build_network("preactresnet50", {}), (1, 3, 224, 224)),
    "preactresnet50, 64x64": Setting(lambda: build_network("preactresnet50", {}), (1, 3, 64, 64)),
    "preactresnet50, 64x64" + MIXED: Setting(lambda: build_network("preactresnet50", {}), (1, 3, 64, 64), 0.05),
    "gates, 1 row": Setting(lambda: _repeat(lambda: Gate(256)), (1, 256)),
    "gates, 64 rows": Setting(lambda: _repeat(lambda: Gate(256)), (64, 256)),
    "gates, 1 sequence": Setting(lambda: _repeat(lambda: Gate(128)), (1, 128, 196)),
    "gates, 16 sequences": Setting(lambda: _repeat(lambda: Gate(128)), (16, 128, 196)),
    **{
        f"{name}{scales}": Setting(build, shape, negative)
        for name, (build, shape) in {
            "linear, 1 row": (lambda: _pre_activated_linear(256), (1, 256)),
            "linear, 64 rows": (lambda: _pre_activated_linear(256), (64, 256)),
            "1x convolutions of a sequence": (lambda: _pre_activated_convolution(64, 1), (1, 64, 512)),
            "padded 3x convolutions of a sequence": (lambda: _pre_activated_convolution(64, 3), (1, 64, 512)),
        }.items()
        for scales, negative in {"": 0.0, MIXED: 0.05}.items()
    },
}
