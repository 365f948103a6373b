"""This module is DenseNet: every layer takes what all layers before it in its block give, and adds a few channels.

Source: Huang et al. (2017), Densely connected convolutional networks, table 1 and section 3, DenseNet-BC: bottlenecks
in front of the 3x3 convolutions, and compression between the blocks. The small stem normalizes as the large one does,
where the paper's networks for 32x32 start with the convolution alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.networks.convolution import convolution
from training.networks.stem import image_stem


class DenseNet(nn.Module):
    """Dense blocks, and between them a convolution and average pooling (Huang et al. 2017).

    Args:
        block_layers: How many layers each block has; 6, 12, 24, 16 is DenseNet-121, and 16, 16, 16 with a growth of 12
            and 24 stem channels is DenseNet-BC-100 for 32x32.
        in_channels: Channels of the image.
        num_classes: How many logits come out.
        stem: ``imagenet`` or, for images of up to some 64x64, ``small``.
        stem_channels: Channels that the first block takes.
        growth: Channels that a layer adds.
        bottleneck: Channels between a layer's two convolutions, in units of the growth.
        compression: Share of the channels that pass from block to block, above 0, at most 1.

    Raises:
        ValueError: If there is no block, or the stem or the compression is none that there is.
    """

    def __init__(  # noqa: PLR0913  what a recipe says, by name
        self,
        block_layers: Sequence[int] = (6, 12, 24, 16),
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        stem: str = "imagenet",
        stem_channels: int = 64,
        growth: int = 32,
        bottleneck: int = 4,
        compression: float = 0.5,
    ) -> None:
        super().__init__()
        if not block_layers:
            raise ValueError("block_layers: expected at least one block, got none")
        if not 0 < compression <= 1:
            raise ValueError(f"compression: expected a number above 0, at most 1, got {compression!r}")
        self.stem = image_stem(stem, in_channels, stem_channels)
        self.blocks = nn.Sequential()
        channels = stem_channels
        for layers in block_layers:
            if len(self.blocks):
                self.blocks.append(Transition(channels, int(channels * compression)))
                channels = int(channels * compression)
            block = nn.Sequential()
            for _ in range(layers):
                block.append(DenseLayer(channels, growth * bottleneck, growth))
                channels += growth
            self.blocks.append(block)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        features = self.relu(self.norm(self.blocks(self.stem(image))))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class DenseLayer(nn.Module):
    """What it takes, and behind it ``growth`` channels more: normalization, ReLU and 1x1, and again with 3x3."""

    def __init__(self, in_channels: int, inner_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = convolution(in_channels, inner_channels, 1)
        self.norm2 = nn.BatchNorm2d(inner_channels)
        self.conv2 = convolution(inner_channels, growth, 3)
        self.relu = nn.ReLU()

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, in_channels + growth, height, width)``."""
        inner = self.conv1(self.relu(self.norm1(image)))
        return torch.cat([image, self.conv2(self.relu(self.norm2(inner)))], dim=1)


class Transition(nn.Module):
    """Normalization, ReLU, a 1x1 convolution, and the average over 2x2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU()
        self.conv = convolution(in_channels, out_channels, 1)
        self.pool = nn.AvgPool2d(2)

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, out_channels, height / 2, width / 2)``."""
        features: Tensor = self.pool(self.conv(self.relu(self.norm(image))))
        return features
