"""Export a network of your own, with a normalization layer where tools seldom fold it: behind the activation.

    .venv/bin/python examples/export_your_own.py [STORE]     # then: make serve

Needs torch and the like; `make train` and `make test` install them.
"""

import sys

import torch
from torch import nn

from training import export


class Tagger(nn.Module):
    """Scores each of five tags for a vector of eight features."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.BatchNorm1d(16))
        self.head = nn.Linear(16, 5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """A number a tag and row."""
        return self.head(self.hidden(features))


torch.manual_seed(0)
network = Tagger()
network(torch.randn(1000, 8))  # in training mode: the normalization layers see what their input is like

store = sys.argv[1] if len(sys.argv) > 1 else "models/store"
bundle = export(network.eval(), torch.zeros(2, 8), store=store, name="tagger")
for layer in bundle.manifest.layers:
    print(f"{layer.name}: {layer.placement} into {layer.into}")
