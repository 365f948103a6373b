"""This module is MobileNetV2: blocks that widen, filter each channel by itself, and narrow again without activation.

Source: Sandler et al. (2018), MobileNetV2: inverted residuals and linear bottlenecks, table 2. Numbers of channels are
rounded to multiples of 8, and the last convolution is not made narrower, as in the authors' code. There is no dropout.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.networks.convolution import choose, normalized_convolution, scale, zero_gamma

# of each stage: the expansion, the output channels, the blocks, the stride of the first of them
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM_CHANNELS, LAST_CHANNELS = 32, 1280
FIRST_STRIDED_STAGE = 1
CHANNEL_MULTIPLE = 8


class MobileNetV2(nn.Module):
    """Inverted residual blocks with depthwise convolutions and ReLU6 (Sandler et al. 2018).

    Args:
        in_channels: Channels of the image.
        num_classes: How many logits come out.
        stem: ``imagenet``; or, for images of up to some 64x64, ``small``: the first convolution and the first stage
            that strides do not.
        width: Every number of channels is the paper's times this, rounded to a multiple of 8; of the last one at least
            the paper's.

    Raises:
        ValueError: If the stem is neither, or the width is not above 0.
    """

    def __init__(
        self, *, in_channels: int = 3, num_classes: int = 1000, stem: str = "imagenet", width: float = 1.0
    ) -> None:
        super().__init__()
        first_stride = choose("stem", stem, {"imagenet": 2, "small": 1})
        before = scale(STEM_CHANNELS, width, multiple=CHANNEL_MULTIPLE)
        self.stem = normalized_convolution(in_channels, before, 3, stride=first_stride, activation=nn.ReLU6)
        self.stages = nn.Sequential()
        for stage, (expansion, channels, count, stride) in enumerate(STAGES):
            after = scale(channels, width, multiple=CHANNEL_MULTIPLE)
            strides = [first_stride if stage == FIRST_STRIDED_STAGE else stride] + [1] * (count - 1)
            blocks = nn.Sequential()
            for block_stride in strides:
                blocks.append(InvertedResidual(before, after, expansion, block_stride))
                before = after
            self.stages.append(blocks)
        last = scale(LAST_CHANNELS, max(width, 1.0), multiple=CHANNEL_MULTIPLE)
        self.last = normalized_convolution(before, last, 1, activation=nn.ReLU6)
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        features = self.last(self.stages(self.stem(image)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """Expand with 1x1, filter each channel with 3x3, narrow with 1x1; add what came in, if the shape is the same."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.steps = nn.Sequential()
        if expansion > 1:
            self.steps.append(normalized_convolution(in_channels, inner, 1, activation=nn.ReLU6))
        self.steps.append(normalized_convolution(inner, inner, 3, stride=stride, groups=inner, activation=nn.ReLU6))
        self.steps.append(normalized_convolution(inner, out_channels, 1, activation=None))
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, out_channels, height / stride, width / stride)``."""
        features: Tensor = self.steps(image)
        return image + features if self.adds else features

    def zero_init_last(self) -> None:
        """Set the last gamma to 0 where the block adds, so that it adds nothing (Goyal et al. 2017, section 5.1)."""
        if self.adds:
            zero_gamma(self.steps[-1])
