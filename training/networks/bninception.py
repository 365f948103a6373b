"""This module is BN-Inception, the network with which batch normalization was introduced.

Source: Ioffe & Szegedy (2015), Batch normalization, the appendix, figure 5: GoogLeNet with two 3x3 convolutions in
place of every 5x5, and a normalization behind every convolution. The filters are those of the table. In 4c and 4d they
sum to 608 channels, where its column of output sizes says 576, and in 4e to 1056 in place of 1024; published
implementations follow the filters too (https://github.com/apache/mxnet/issues/1643). As theirs, the first convolution
is a plain one, which the paper makes separable.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.convolution import normalized_convolution, scale


@dataclass(frozen=True, slots=True)
class Filters:
    """A row of the table; one without ``single`` and ``projection`` strides, and passes what it pools on."""

    single: int
    triple_reduce: int
    triple: int
    double_triple_reduce: int
    double_triple: int
    pool: type[nn.Module]
    projection: int

    @property
    def stride(self) -> int:
        """By how much height and width are divided."""
        return 1 if self.projection else 2


MODULES = {
    "3a": Filters(64, 64, 64, 64, 96, nn.AvgPool2d, 32),
    "3b": Filters(64, 64, 96, 64, 96, nn.AvgPool2d, 64),
    "3c": Filters(0, 128, 160, 64, 96, nn.MaxPool2d, 0),
    "4a": Filters(224, 64, 96, 96, 128, nn.AvgPool2d, 128),
    "4b": Filters(192, 96, 128, 96, 128, nn.AvgPool2d, 128),
    "4c": Filters(160, 128, 160, 128, 160, nn.AvgPool2d, 128),
    "4d": Filters(96, 128, 192, 160, 192, nn.AvgPool2d, 128),
    "4e": Filters(0, 128, 192, 192, 256, nn.MaxPool2d, 0),
    "5a": Filters(352, 192, 320, 160, 224, nn.AvgPool2d, 128),
    "5b": Filters(352, 192, 320, 192, 224, nn.MaxPool2d, 128),
}


class BNInception(nn.Module):
    """Ten Inception modules, normalized after every convolution (Ioffe & Szegedy 2015).

    Args:
        in_channels: Channels of the image, which the network divides by 32 in height and width; the paper's is 224x224.
        num_classes: How many logits come out.
        width: Every number of channels is the paper's times this.

    Raises:
        ValueError: If the width is not above 0.
    """

    def __init__(self, *, in_channels: int = 3, num_classes: int = 1000, width: float = 1.0) -> None:
        super().__init__()
        first, channels = scale(64, width), scale(192, width)
        self.stem = nn.Sequential(
            normalized_convolution(in_channels, first, 7, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
            normalized_convolution(first, first, 1),
            normalized_convolution(first, channels, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.inception = nn.Sequential()
        for name, filters in MODULES.items():
            module = InceptionModule(channels, filters, width)
            self.inception.add_module(name, module)
            channels = module.out_channels
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, in_channels, height, width)``."""
        features = self.inception(self.stem(image))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class InceptionModule(nn.Module):
    """Up to four branches over the same input, side by side in the output's ``out_channels``."""

    def __init__(self, in_channels: int, filters: Filters, width: float) -> None:
        super().__init__()
        single, reduce, triple, double_reduce, double, projection = (
            scale(count, width) if count else 0
            for count in (
                filters.single,
                filters.triple_reduce,
                filters.triple,
                filters.double_triple_reduce,
                filters.double_triple,
                filters.projection,
            )
        )
        self.branches = nn.ModuleDict()
        if single:
            self.branches["single"] = normalized_convolution(in_channels, single, 1)
        self.branches["triple"] = nn.Sequential(
            normalized_convolution(in_channels, reduce, 1),
            normalized_convolution(reduce, triple, 3, stride=filters.stride),
        )
        self.branches["double_triple"] = nn.Sequential(
            normalized_convolution(in_channels, double_reduce, 1),
            normalized_convolution(double_reduce, double, 3),
            normalized_convolution(double, double, 3, stride=filters.stride),
        )
        pooled = OrderedDict[str, nn.Module](pool=filters.pool(3, stride=filters.stride, padding=1))
        if projection:
            pooled["projection"] = normalized_convolution(in_channels, projection, 1)
        self.branches["pool"] = nn.Sequential(pooled)
        self.out_channels = single + triple + double + (projection or in_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(rows, out_channels, height / stride, width / stride)``."""
        return torch.cat([branch(image) for branch in self.branches.values()], dim=1)
