"""This module has a small network of each kind where an exact rule folds what other tools leave.

Each repeats one pattern several times, so that what a normalization layer costs shows in the time of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

REPEATS = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """One network.

    Attributes:
        build: Makes it.
        shape: Of its input, rows included.
        held_to_bound: Whether an exact rule leaves nothing of its layers.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    held_to_bound: bool = True


class Residual(nn.Module):
    """``x + block(x)``: whatever normalizes first in the block can't be folded backward, since ``x`` is used again."""

    def __init__(self, *block: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*block)

    def forward(self, value: Tensor) -> Tensor:
        """A tensor of the same shape."""
        return value + self.block(value)  # type: ignore[no-any-return]


class TokenNormalization(nn.Module):
    """Normalizes the features of ``(rows, tokens, features)`` between two transposes."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.normalization = nn.BatchNorm1d(features)

    def forward(self, tokens: Tensor) -> Tensor:
        """A tensor of the same shape."""
        return self.normalization(tokens.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class FlatTokenNormalization(nn.Module):
    """Normalizes the features of ``(rows, tokens, features)`` as if every token were a row, as LeViT does."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.normalization = nn.BatchNorm1d(features)

    def forward(self, tokens: Tensor) -> Tensor:
        """A tensor of the same shape."""
        return self.normalization(tokens.flatten(0, 1)).reshape_as(tokens)  # type: ignore[no-any-return]


class Branches(nn.Module):
    """A 1x1 and a 3x3 convolution of the same image, joined along the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(channels, channels // 2, 1)
        self.large = nn.Conv2d(channels, channels - channels // 2, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """An image of the same shape."""
        return torch.cat([self.small(image), self.large(image)], dim=1)


class Heads(nn.Module):
    """Several heads over one image, each a convolution, the average over the image, a layer, and logits; added up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, 2 * channels, 1),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.BatchNorm1d(2 * channels),
                nn.Linear(2 * channels, 10),
            )
            for _ in range(REPEATS)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, 10)``."""
        return torch.stack([head(image) for head in self.heads]).sum(dim=0)


def repeat(*pattern: Callable[[], nn.Module]) -> nn.Sequential:
    """A pattern of layers several times over, each time new."""
    return nn.Sequential(*(make() for _ in range(REPEATS) for make in pattern))


KINDS: Mapping[str, Kind] = {
    "convolution, rectifier, layer, unpadded convolution": Kind(
        lambda: nn.Sequential(
            repeat(lambda: nn.Conv2d(32, 32, 3), nn.ReLU, lambda: nn.BatchNorm2d(32)), nn.Conv2d(32, 32, 3)
        ),
        (1, 32, 32, 32),
    ),
    "linear, rectifier, layer, linear": Kind(
        lambda: nn.Sequential(
            repeat(lambda: nn.Linear(256, 256), nn.ReLU, lambda: nn.BatchNorm1d(256)), nn.Linear(256, 10)
        ),
        (32, 256),
    ),
    "layer, linear": Kind(
        lambda: repeat(lambda: Residual(nn.BatchNorm1d(256), nn.Linear(256, 256), nn.ReLU())), (32, 256)
    ),
    "layer, unpadded convolution": Kind(
        lambda: repeat(lambda: Residual(nn.BatchNorm2d(64), nn.Conv2d(64, 64, 1), nn.ReLU())), (1, 64, 28, 28)
    ),
    "linear over tokens, transposed layer": Kind(
        lambda: repeat(lambda: nn.Linear(128, 128), lambda: TokenNormalization(128), nn.ReLU), (1, 196, 128)
    ),
    "linear over tokens, flattened layer": Kind(
        lambda: repeat(lambda: nn.Linear(128, 128), lambda: FlatTokenNormalization(128), nn.ReLU), (1, 196, 128)
    ),
    "joined branches, layer": Kind(
        lambda: repeat(lambda: Branches(32), lambda: nn.BatchNorm2d(32), nn.ReLU), (1, 32, 28, 28)
    ),
    "convolution, average pool, layer": Kind(
        lambda: repeat(
            lambda: nn.Conv2d(32, 32, 3, padding=1),
            lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
            lambda: nn.BatchNorm2d(32),
            nn.ReLU,
        ),
        (1, 32, 28, 28),
    ),
    "convolution, pooled and flattened, layer, linear": Kind(lambda: Heads(64), (1, 64, 28, 28)),
    "convolution, rectifier, layer, padded convolution": Kind(
        lambda: nn.Sequential(
            repeat(lambda: nn.Conv2d(32, 32, 3, padding=1), nn.ReLU, lambda: nn.BatchNorm2d(32)),
            nn.Conv2d(32, 32, 3, padding=1),
        ),
        (1, 32, 28, 28),
        held_to_bound=False,
    ),
}
