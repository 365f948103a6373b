"""This module is a plain convolutional network: 3x3 convolutions, each normalized and rectified, then an average.

The shape follows VGG (Simonyan & Zisserman, 2015) without its hidden linear layers. The convolutions learn no bias:
the normalization behind each of them would subtract it again (Ioffe & Szegedy 2015, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Convolution, normalization, ReLU per width; the average; a linear layer (after Simonyan & Zisserman 2015).

    Args:
        in_channels: Channels of the image.
        num_classes: How many logits come out.
        widths: Output channels of each convolution; where one is larger than the one before, the image is halved
            by max pooling first.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, widths: Sequence[int] = (32, 32, 64, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for width in widths:
            if layers and width > before:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        logits: Tensor = self.classifier(self.features(image).mean(dim=(2, 3)))
        return logits
