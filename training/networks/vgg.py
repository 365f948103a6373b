"""This module is VGG: 3x3 convolutions in five stages, each stage at half the height and width of the one before.

Source: Simonyan & Zisserman (2015), Very deep convolutional networks for large-scale image recognition, table 1, A, B,
D and E. Every convolution is normalized, which the paper predates; torchvision publishes the same networks as
``vgg16_bn`` and so on, with a bias in every convolution, which these leave out.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.networks.convolution import choose, normalized_convolution, scale

STAGE_WIDTHS = (64, 128, 256, 512, 512)
STAGE_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CLASSIC_PIXELS = 7 * 7
CLASSIC_WIDTH = 4096


class VGG(nn.Module):
    """Stages of normalized 3x3 convolutions, max pooling behind each (Simonyan & Zisserman 2015).

    Args:
        depth: Layers with weights, as the paper counts them: 11, 13, 16 or 19, three of them the classic head.
        in_channels: Channels of the image.
        num_classes: How many logits come out.
        head: ``average``, the average over the image and one linear layer, for images of any size from 32x32; or
            ``classic``, the paper's three linear layers with dropout between, for images of 224x224 alone.
        width: Every number of channels and of hidden features is the paper's times this.

    Raises:
        ValueError: If depth, head or width is none that there is.
    """

    def __init__(
        self,
        depth: int = 16,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        head: str = "average",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        before = in_channels
        for channels, convolutions in zip(STAGE_WIDTHS, choose("depth", depth, STAGE_CONVOLUTIONS), strict=True):
            stage = nn.Sequential()
            for _ in range(convolutions):
                stage.append(normalized_convolution(before, scale(channels, width), 3))
                before = scale(channels, width)
            self.features.append(stage.append(nn.MaxPool2d(2)))
        make_head = choose("head", head, {"average": _average_head, "classic": _classic_head})
        self.head = make_head(before, scale(CLASSIC_WIDTH, width), num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        logits: Tensor = self.head(self.features(image))
        return logits


def _average_head(channels: int, _hidden: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def _classic_head(channels: int, hidden: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * CLASSIC_PIXELS, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, num_classes),
    )
