"""This module is what stands before the first block of residual and dense networks, for large images and small ones.

Sources: for ImageNet, He et al. (2016a), table 1, and Huang et al. (2017), table 1; for images of 32x32, He et al.
(2016a), section 4.2.
"""

from __future__ import annotations

from torch import nn

from training.networks.convolution import choose, normalized_convolution


def image_stem(stem: str, in_channels: int, out_channels: int) -> nn.Sequential:
    """A normalized convolution; for large images with a stride, and max pooling behind it.

    Args:
        stem: ``imagenet``, 7x7 with stride 2 and max pooling, which quarters height and width; or ``small``, 3x3, which
            leaves them, for images of up to some 64x64.
        in_channels: Channels of the image.
        out_channels: Channels of what comes out.

    Raises:
        ValueError: If the stem is neither.
    """
    size, stride, pool = choose("stem", stem, {"imagenet": (7, 2, True), "small": (3, 1, False)})
    layers = normalized_convolution(in_channels, out_channels, size, stride=stride)
    if pool:
        layers.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
    return layers
