"""This module is a multilayer perceptron: linear layers, each normalized and rectified.

Source: the fully connected network of Ioffe & Szegedy (2015), section 4.1, with ReLU in place of the sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layer, normalization and ReLU per width; a linear layer (after Ioffe & Szegedy 2015, section 4.1).

    Args:
        in_features: Values in a row, whatever the row's shape.
        num_classes: How many logits come out.
        widths: Output features of each hidden layer.
    """

    def __init__(self, in_features: int = 64, num_classes: int = 10, widths: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_features
        for width in widths:
            layers += [nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(rows, num_classes)`` of rows of any shape that holds ``in_features`` values."""
        logits: Tensor = self.classifier(self.hidden(self.flatten(image)))
        return logits
