"""This module is the pre-activation ResNet: normalization and ReLU stand before a convolution, and no sum is changed.

Source: He et al. (2016b), Identity mappings in deep residual networks, figure 1b and the appendix. The stem normalizes
and rectifies in front of the first block, which therefore does not do so again; the last sum is normalized and
rectified before the average. A shortcut that projects takes the normalized and rectified input, and is not normalized
itself. A bottleneck strides in its 3x3 convolution.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from training.networks.convolution import convolution
from training.networks.residual_shapes import BlockShape, block_shapes
from training.networks.stem import image_stem


class PreActResNet(nn.Module):
    """Residual blocks that normalize before every convolution (He et al. 2016b).

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
        features = shapes[-1][-1].out_channels
        self.stem = image_stem(stem, in_channels, shapes[0][0].in_channels)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*(PreActivationBlock(shape, activate=i + j > 0) for j, shape in enumerate(stage)))
                for i, stage in enumerate(shapes)
            )
        )
        self.activation = normalization_and_relu(features)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        features = self.activation(self.stages(self.stem(image)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class PreActivationBlock(nn.Module):
    """``residual(a) + x`` with ``a = relu(norm(x))``; ``residual(a) + projection(a)`` where the shape changes.

    Args:
        shape: What it takes and gives.
        activate: False if what it takes is normalized and rectified already.
    """

    def __init__(self, shape: BlockShape, *, activate: bool) -> None:
        super().__init__()
        before, inner, after = shape.in_channels, shape.inner_channels, shape.out_channels
        self.activation = normalization_and_relu(before) if activate else nn.Identity()
        if shape.bottleneck:
            self.residual = nn.Sequential(
                convolution(before, inner, 1),
                normalization_and_relu(inner),
                convolution(inner, inner, 3, stride=shape.stride),
                normalization_and_relu(inner),
                convolution(inner, after, 1),
            )
        else:
            self.residual = nn.Sequential(
                convolution(before, inner, 3, stride=shape.stride),
                normalization_and_relu(inner),
                convolution(inner, after, 3),
            )
        self.projection = convolution(before, after, 1, stride=shape.stride) if shape.projects else None

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, out_channels, height / stride, width / stride)``."""
        activated = self.activation(image)
        shortcut = image if self.projection is None else self.projection(activated)
        features: Tensor = self.residual(activated) + shortcut
        return features

    def zero_init_last(self) -> None:
        """Set the last kernel to 0, so that the block adds nothing.

        A gamma of 0 would do so too, but the rectifier behind it passes no gradient on at 0, and it would stay 0.
        """
        last = self.residual[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)


def normalization_and_relu(channels: int) -> nn.Sequential:
    """What stands before a convolution."""
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(channels), relu=nn.ReLU()))
