"""This module measures how long a fit takes, over all the runs that it took."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Stopwatch(Callback):
    """Runs from the first step, validation included; what a checkpoint has is added to what comes after it."""

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """How long so far. Work that was lost with a process is not in it."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin, or go on."""
        del trainer, pl_module
        self._started = time.monotonic()

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop."""
        del trainer, pl_module
        self._before, self._started = self.seconds, None

    def state_dict(self) -> dict[str, Any]:
        """How long until now."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what an earlier run took."""
        self._before = float(state_dict["seconds"])
