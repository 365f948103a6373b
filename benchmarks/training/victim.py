"""This module is ``bntrain`` with one network more, ``dropping``: small, with Dropout, so that a fit draws numbers.

It is run as a process of its own, or forked from one that has imported everything: the start takes seconds otherwise,
and a study of kills starts many.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

import training.command_fit  # noqa: F401  imported once, before the forks
from training.__main__ import main
from training.networks import NETWORKS


class Dropping(nn.Module):
    """Convolution, normalization, ReLU; Dropout; a linear layer.

    Args:
        channels: Of the convolution.
        pixels: Height and width of an image, which has one channel.
        num_classes: How many logits come out.
    """

    def __init__(self, channels: int = 8, pixels: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.3)
        self.classifier = nn.Linear(channels * pixels * pixels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of images ``(rows, 1, pixels, pixels)``."""
        features = self.flatten(self.relu(self.normalization(self.convolution(image))))
        logits: Tensor = self.classifier(self.dropout(features))
        return logits


def run(arguments: Sequence[str], log: Path | None = None) -> None:
    """Run ``bntrain`` on one thread and exit with its code, what it writes added to a file if there is one."""
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    cast(dict[str, Any], NETWORKS)["dropping"] = Dropping
    sys.exit(main(arguments))


if __name__ == "__main__":
    run(sys.argv[1:])
