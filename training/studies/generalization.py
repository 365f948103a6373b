"""This module measures how much better a network does on the rows that it was fitted to than on others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batches
from training.data.splits import Rows


@dataclass(frozen=True, slots=True)
class Performance:
    """On some rows, in inference mode: mean cross entropy, in nats, and the share that is put into its class."""

    loss: float
    accuracy: float

    @classmethod
    @torch.no_grad()
    def on(cls, network: nn.Module, rows: Rows) -> Performance:
        """Measure a network, which stays in inference mode."""
        network.eval()
        loss, right = 0.0, 0
        for values, labels in Batches(rows, 1000):
            logits = network(values)
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(dim=1) == labels).sum())
        return cls(loss / len(rows), right / len(rows))


@dataclass(frozen=True, slots=True)
class Generalization:
    """On the rows that a network was fitted to, and on rows that it has never seen."""

    train: Performance
    test: Performance

    def figures(self) -> dict[str, float]:
        """All of it by name, with the gaps: by how much the loss is higher and the accuracy lower on unseen rows."""
        return {
            "train_loss": self.train.loss,
            "test_loss": self.test.loss,
            "loss_gap": self.test.loss - self.train.loss,
            "train_accuracy": self.train.accuracy,
            "test_accuracy": self.test.accuracy,
            "accuracy_gap": self.train.accuracy - self.test.accuracy,
        }
