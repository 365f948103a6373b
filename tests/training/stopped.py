"""This module stops fits where a test says, and goes on with them."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.checkpointing import Keeping
from training.checkpoints import Checkpoints
from training.data import Rows, Splits
from training.data.digits import Digits
from training.events import Events
from training.fit import Fit, fit
from training.interruption import Interrupted, Interruption
from training.recipe import Recipe

BATCH_ROWS, STEPS = 8, 4
"""An epoch has four steps."""

NEVER = 1e9


def splits() -> Splits:
    """32 rows to fit to."""
    return Splits("noise", ("a", "b"), _rows(BATCH_ROWS * STEPS, 1), _rows(10, 2), _rows(10, 3))


def recipe(**changes: Any) -> Recipe:  # noqa: ANN401  fields of a recipe
    """Of three epochs."""
    fields: dict[str, Any] = {"epochs": 3, "batch_rows": BATCH_ROWS, "learning_rate": 0.05, "seed": 1}
    return Recipe(name="noise", network="mlp", data=Digits(), **(fields | changes))


class Counting(nn.Module):
    """Normalized and with Dropout; tells of every training step that begins."""

    def __init__(self, begins: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.begins = begins
        self.layers = nn.Sequential(
            nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 2)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Logits ``(rows, 2)``."""
        if self.training:
            self.begins()
        logits: Tensor = self.layers(rows)
        return logits


def start(begins: Callable[[], None] = lambda: None) -> Counting:
    """The same network and the same random numbers every time."""
    torch.manual_seed(0)
    return Counting(begins)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit left."""

    network: Counting
    figures: Fit


def fit_until(folder: Path, step: int, events: Events, *, every_s: float = NEVER, of: Recipe | None = None) -> Fitted:
    """Fit, or go on, with a network as a new process makes it, which gets SIGTERM in its ``step``-th step.

    Raises:
        Interrupted: If it comes to that step.
    """
    interruption = Interruption()
    steps = itertools.count(1)

    def begins() -> None:
        if next(steps) == step:
            interruption.received = signal.SIGTERM

    network = start(begins)
    keeping = Keeping(Checkpoints(folder, events), every_s, interruption)
    return Fitted(network, fit(network, splits(), of or recipe(), events=events, keeping=keeping))


def fit_stopped(folder: Path, stops: Sequence[int], events: Events, *, of: Recipe | None = None) -> Fitted:
    """Fit in several runs, each but the last stopped in the given one of its steps."""
    for step in stops:
        with pytest.raises(Interrupted):
            fit_until(folder, step, events, of=of)
    return fit_until(folder, 0, events, of=of)


def _rows(count: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    return Rows(torch.randn(count, 6, generator=generator), torch.arange(count) % 2)
