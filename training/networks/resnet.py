"""This module is ResNet: blocks that add what they compute to what they are given.

Source: He et al. (2016a), Deep residual learning for image recognition, table 1, shortcuts of kind B: a projection
where the shape changes, else the identity. A bottleneck strides in its 3x3 convolution, not in the 1x1 before it as in
the paper; this is known as v1.5, and what torchvision publishes.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.networks.convolution import normalized_convolution, zero_gamma
from training.networks.residual_shapes import BlockShape, block_shapes
from training.networks.stem import image_stem


class ResNet(nn.Module):
    """Residual blocks that normalize after every convolution (He et al. 2016a).

    Args:
        depth: Layers with weights, as the paper counts them: 18, 34 or 50; 50 is made of bottlenecks.
        in_channels: Channels of the image.
        num_classes: How many logits come out.
        stem: ``imagenet`` or, for images of up to some 64x64, ``small``.
        width: Every number of channels is the paper's times this.

    Raises:
        ValueError: If depth, stem or width is none that there is.
    """

    def __init__(
        self,
        depth: int = 50,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        stem: str = "imagenet",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        shapes = block_shapes(depth, width)
        self.stem = image_stem(stem, in_channels, shapes[0][0].in_channels)
        self.stages = nn.Sequential(*(nn.Sequential(*map(ResidualBlock, stage)) for stage in shapes))
        self.classifier = nn.Linear(shapes[-1][-1].out_channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        logits: Tensor = self.classifier(self.stages(self.stem(image)).mean(dim=(2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """``relu(residual(x) + shortcut(x))``; the shortcut is a normalized 1x1 convolution where the shape changes."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        before, inner, after = shape.in_channels, shape.inner_channels, shape.out_channels
        if shape.bottleneck:
            self.residual = nn.Sequential(
                normalized_convolution(before, inner, 1),
                normalized_convolution(inner, inner, 3, stride=shape.stride),
                normalized_convolution(inner, after, 1, activation=None),
            )
        else:
            self.residual = nn.Sequential(
                normalized_convolution(before, inner, 3, stride=shape.stride),
                normalized_convolution(inner, after, 3, activation=None),
            )
        self.shortcut: nn.Module = nn.Identity()
        if shape.projects:
            self.shortcut = normalized_convolution(before, after, 1, stride=shape.stride, activation=None)
        self.activation = nn.ReLU()

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, out_channels, height / stride, width / stride)``."""
        features: Tensor = self.activation(self.residual(image) + self.shortcut(image))
        return features

    def zero_init_last(self) -> None:
        """Set the last gamma to 0, so that the block adds nothing (Goyal et al. 2017, section 5.1)."""
        zero_gamma(self.residual[-1])
