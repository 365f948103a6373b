"""This module writes down how a fit went: always as CSV in its folder, and for TensorBoard or MLflow if asked to.

Every epoch has one line, with what was measured by name. A fit that goes on from a checkpoint writes anew what came
after it, so that the file is that of a fit that was never interrupted.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from folding.errors import one_line
from models.durable import replace_file
from training.errors import RecipeError
from training.events import Events

TENSORBOARD, MLFLOW = LOGGERS = ("tensorboard", "mlflow")
METRICS_FILE = "metrics.csv"
TRACKING = "MLFLOW_TRACKING_URI"


def make_loggers(names: Sequence[str], folder: Path, events: Events) -> list[Logger]:
    """Loggers into a folder: ``metrics.csv`` in any case, and those that are named.

    Args:
        names: ``tensorboard``, into ``folder/tensorboard``; ``mlflow``, to where ``MLFLOW_TRACKING_URI`` says, as a run
            of the experiment ``bntrain`` that is named like the folder.
        folder: The job's own.
        events: What is told if one of them fails; the fit goes on without it.

    Raises:
        RecipeError: If there is no such logger, its package is not installed, or nothing says where its runs go.
    """
    chosen = [Dispensable(name, _make(name, folder), events) for name in dict.fromkeys(names)]
    return [MetricsFile(folder / METRICS_FILE), *chosen]


def _make(name: str, folder: Path) -> Logger:
    if name == TENSORBOARD:
        return TensorBoardLogger(folder, name="", version=TENSORBOARD)
    if name != MLFLOW:
        raise RecipeError(f"logger: expected one of {', '.join(LOGGERS)}, got {name!r}")
    if find_spec("mlflow") is None:
        raise RecipeError(
            "logger mlflow: expected the package mlflow, which is not installed: pip install bnserve[mlflow]"
        )
    if not (uri := os.environ.get(TRACKING)):  # MLflow has no folder of files any more that it would write to unasked
        raise RecipeError(f"logger mlflow: expected {TRACKING} to be the address of a server or database, got nothing")
    return MLFlowLogger(experiment_name="bntrain", run_name=folder.resolve().name, tracking_uri=uri)


class Dispensable(Logger):
    """A logger that a fit can do without: if it fails that is told, and it is asked no more.

    Args:
        name: What it is called.
        logger: What it is.
        events: What is told.
    """

    def __init__(self, name: str, logger: Logger, events: Events) -> None:
        super().__init__()
        self.logger = logger
        self.events = events
        self._name = name
        self._has_failed = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def version(self) -> str:
        """There is but one."""
        return ""

    def log_hyperparams(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401  as its base has it
        """Leave them out; the recipe is in the job's folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log an epoch's measures."""
        self._try(lambda: self.logger.log_metrics(dict(metrics), step))

    def save(self) -> None:
        """See to it that they are written."""
        self._try(self.logger.save)

    def finalize(self, status: str) -> None:
        """Close it."""
        self._try(lambda: self.logger.finalize(status))

    def _try(self, do: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            do()
        except Exception as error:  # noqa: BLE001  loggers make errors of their own of those of disks and networks
            self._has_failed = True
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            self.events.tell("logger-failed", logger=self._name, reason=one_line(cause))


class MetricsFile(Logger):
    """A CSV file with a line an epoch and a column a measure; whole at any time.

    Args:
        path: The file; lines that it has already are kept, but for those of epochs that are measured again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._rows: dict[int, dict[str, str]] | None = None

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is but one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401  as its base has it
        """Leave them out; the recipe is beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write an epoch's line; Lightning counts epochs and steps from 0, the file from 1."""
        values = dict(metrics)
        epoch = int(values.pop("epoch")) + 1
        if self._rows is None:
            self._rows = {number: row for number, row in self._read().items() if number < epoch}
        row = self._rows.setdefault(epoch, {"epoch": str(epoch), "step": str((step or 0) + 1)})
        row.update({name: repr(float(value)) for name, value in values.items()})
        self._write(self._rows)

    def _read(self) -> dict[int, dict[str, str]]:
        if not self.path.exists():
            return {}
        with self.path.open(newline="") as file:
            return {int(row["epoch"]): row for row in csv.DictReader(file)}

    def _write(self, rows: Mapping[int, Mapping[str, str]]) -> None:
        columns = dict.fromkeys(column for row in rows.values() for column in row)
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, list(columns))
        writer.writeheader()
        writer.writerows(rows.values())
        with contextlib.suppress(OSError):  # a full disk ends no fit; the next epoch writes all lines
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, lines.getvalue().encode())
