"""This module times a fit and the loop that is written by hand, in turn, in one process.

Every round runs each of them once from the same weights, in an order that turns round with every round, and what is
compared are the two of one round. A fit is timed whole: with the making of its trainer, and all that watches it.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from benchmarks.folding.command import Command
from benchmarks.folding.markdown import table
from benchmarks.folding.timing import Ratio
from benchmarks.training.cases import CASES, Case, case
from benchmarks.training.hand_written import fit_by_hand
from training.fit import fit
from training.networks import build_network


class FitTimed(BaseModel):
    """How fast a fit is.

    Attributes:
        name: Of the case.
        what: What it is.
        at_least: The least ratio; None where there is no bar.
        threads: Of torch.
        device: What the network was on.
        rows_per_s: Training rows that the fit takes in a second of its time, validation included; the median.
        batch_rows: Of a step.
        ratio: Of the hand-written loop's time to the fit's, which is that of their rows a second.
        processor_ratio: The same by the time of the process on its processors, whatever else the machine was doing.
        same_loss: Whether both ended with the same loss, to a relative 1e-3.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    what: str
    at_least: float | None
    threads: int
    device: str
    rows_per_s: float
    batch_rows: int
    ratio: Ratio
    processor_ratio: Ratio
    same_loss: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """What one fit took, in seconds by the clock and of its processors, and the loss that it ended with."""

    seconds: float
    processor_seconds: float
    loss: float


def time_fit(name: str, rounds: float) -> FitTimed:
    """Time a case for so many rounds, after one of which nothing is kept."""
    measured = case(name)
    data = measured.data()
    contenders: dict[str, Callable[[nn.Module], float]] = {
        "fit": lambda network: fit(network, data, measured.recipe).train_loss,
        "hand": lambda network: fit_by_hand(network, data, measured.recipe)[-1][0],
    }
    runs: dict[str, list[_Run]] = {contender: [] for contender in contenders}
    for number in range(-1, round(rounds)):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            run = _timed(contenders[contender], measured)
            if number >= 0:
                runs[contender].append(run)
    pairs = list(zip(runs["hand"], runs["fit"], strict=True))
    steps = measured.recipe.epochs * (len(data.train) // measured.recipe.batch_rows)
    return FitTimed(
        name=name,
        what=measured.what,
        at_least=measured.at_least,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        rows_per_s=steps * measured.recipe.batch_rows / statistics.median(run.seconds for run in runs["fit"]),
        batch_rows=measured.recipe.batch_rows,
        ratio=Ratio.of([hand.seconds / ours.seconds for hand, ours in pairs]),
        processor_ratio=Ratio.of([hand.processor_seconds / ours.processor_seconds for hand, ours in pairs]),
        same_loss=all(abs(hand.loss - ours.loss) <= 1e-3 * hand.loss for hand, ours in pairs),
    )


def _timed(fit_network: Callable[[nn.Module], float], measured: Case) -> _Run:
    torch.manual_seed(measured.recipe.seed)
    network = build_network(measured.recipe.network, measured.recipe.arguments)
    with contextlib.redirect_stderr(io.StringIO()):  # the lines of a fit's epochs
        started, started_processor = time.perf_counter(), time.process_time()
        loss = fit_network(network)
        return _Run(time.perf_counter() - started, time.process_time() - started_processor, loss)


HEADER = ("case", "rows/s", "ms a step", "share of the hand-written loop (quartiles)", "by processor time", "at least")


def _body(records: list[FitTimed]) -> str:
    if not records:
        return ""
    threads = ", ".join(sorted({f"{record.threads} on {record.device}" for record in records}))
    what = "\n".join(f"- {record.name}: {record.what}" for record in records)
    return (
        "Training rows a second of a fit over those of the same loop written by hand in plain torch "
        "(`benchmarks/training/hand_written.py`): the same weights, batches, augmentation, fused optimizer, schedule, "
        "validation after every epoch, and in the end the same loss. Whole fits are timed, the making of the trainer "
        f"included, in turn; the median of the rounds' ratios. Threads: {threads}.\n\n{what}\n\n"
        + table(HEADER, map(_row, records))
    )


def _row(record: FitTimed) -> list[object]:
    step_ms = 1e3 * record.batch_rows / record.rows_per_s
    bar = "" if record.at_least is None else record.at_least
    return [record.name, f"{record.rows_per_s:,.0f}", f"{step_ms:.2f}", record.ratio, record.processor_ratio, bar]


def _describe(record: FitTimed) -> str:
    return f"{record.ratio} of the hand-written loop, {record.processor_ratio} by processor time"


def _failures(records: list[FitTimed]) -> list[str]:
    slow = [
        f"{record.name}: expected at least {record.at_least} of the hand-written loop, got {record.ratio}"
        for record in records
        if record.at_least is not None and record.ratio.median < record.at_least
    ]
    other = [f"{record.name}: expected the loss of the hand-written loop" for record in records if not record.same_loss]
    return slow + other


FIT = Command(
    name="fit",
    title="Fits beside a hand-written loop",
    cases=[known.name for known in CASES],
    measure=time_fit,
    record=FitTimed,
    describe=_describe,
    body=_body,
    failures=_failures,
    package="training",
)
