"""This module is the study of higher learning rates: accuracy and divergence over three and a half decades.

bntrain study learning-rates --data FOLDER --output docs/studies
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from matplotlib.figure import Figure
from torch import nn

from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit
from training.studies.intervals import mean_and_interval
from training.studies.markdown import table
from training.studies.networks import draw_gaussian, perceptron
from training.studies.plots import BLUE, ORANGE, draw_seeds, label, panels, write_beside
from training.studies.results import Outcome, Results
from training.studies.study import Shown, Study, plot

WIDTHS = (100,) * 6
BATCH_ROWS = 60
LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TARGET = 0.96
EVALUATE_EVERY = 100


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit with every learning rate, with and without."""
    data = data.standardized()
    for learning_rate in LEARNING_RATES:
        for normalized in (True, False):
            network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=normalized)
            draw_gaussian(network, None, seed=seed)
            plan = Plan(steps, BATCH_ROWS, learning_rate, seed=seed)
            accuracies, diverged_at = [], math.nan
            for step in fit(network, data.train, plan):
                if step.diverged:
                    diverged_at = step.number
                elif step.number % EVALUATE_EVERY == 0 or step.number == steps:
                    accuracies.append(accuracy(network, data.test))
            reached = [i for i, value in enumerate(accuracies, start=1) if value >= TARGET]
            yield Outcome(
                condition={"normalized": normalized, "learning_rate": learning_rate},
                seed=seed,
                figures={
                    "accuracy": accuracy(network, data.test),
                    "steps_to_target": EVALUATE_EVERY * reached[0] if reached else math.nan,
                    "diverged_at": diverged_at,
                },
            )


def show(results: Results) -> Shown:
    """Accuracy and steps by learning rate, as a table and as plots."""
    rows = []
    for rate in results.values("learning_rate"):
        cells = [f"{rate:g}"]
        for normalized in (True, False):
            chosen = {"normalized": normalized, "learning_rate": rate}
            diverged = results.figures("diverged_at", **chosen)
            cells += [
                mean_and_interval(results.figures("accuracy", **chosen), scale=100),
                mean_and_interval(results.figures("steps_to_target", **chosen), digits=0),
                f"{sum(math.isfinite(step) for step in diverged)} of {len(diverged)}",
            ]
        rows.append(cells)
    header = ["learning rate"]
    for network in ("with", "without"):
        header += [f"{network}: accuracy, %", f"{network}: steps to {100 * TARGET:.0f} %", f"{network}: diverged"]
    says = "Test accuracy over learning rate, with and without batch normalization"
    return Shown(
        figures=f"{plot(STUDY.name, 'accuracy', says)}\n\n{table(header, rows)}\n\n{READING}",
        plots={"accuracy": _figure(results)},
    )


def _figure(results: Results) -> Figure:
    figure, (accuracies, steps) = panels(2)
    rates = [float(rate) for rate in results.values("learning_rate")]
    for normalized, name, colour in ((True, "with", BLUE), (False, "without", ORANGE)):
        by_rate = [results.figures("accuracy", normalized=normalized, learning_rate=rate) for rate in rates]
        draw_seeds(
            accuracies,
            rates,
            [[100 * a for a in seed] for seed in zip(*by_rate, strict=True)],
            name=name,
            colour=colour,
        )
        reached = [
            (
                rate,
                [
                    s
                    for s in results.figures("steps_to_target", normalized=normalized, learning_rate=rate)
                    if math.isfinite(s)
                ],
            )
            for rate in rates
        ]
        shown = [(rate, fmean(values)) for rate, values in reached if values]
        if shown:
            steps.plot(*zip(*shown, strict=True), "o-", color=colour)
            write_beside(steps, *shown[-1], name, colour)
    for axis in (accuracies, steps):
        axis.set_xscale("log")
    label(accuracies, "Accuracy at the end", "learning rate", "test accuracy, %")
    label(steps, f"Steps to {100 * TARGET:.0f} %, of the seeds that got there", "learning rate", "steps")
    return figure


READING = f"""Diverged: the loss was no longer finite, and the fit ended there. Steps are counted to the first
evaluation, one every {EVALUATE_EVERY}, with at least {100 * TARGET:.0f} %; in brackets, how many seeds got there."""

STUDY = Study(
    name="learning-rates",
    title="Higher learning rates",
    claim="""
> In traditional deep networks, too-high learning rate may result in the gradients that explode or vanish, as well as
> getting stuck in poor local minima. Batch Normalization helps address these issues.

Ioffe & Szegedy (2015), section 3.3. In section 4.2 the learning rate is raised 5 and 30 times; the network without
ends in infinities at 5 times.
""",
    setup=f"""
A perceptron of {len(WIDTHS)} hidden layers of {WIDTHS[0]} rectifiers, with and without normalization, on standardized
pixels; Glorot's weights, the same for both; batches of {BATCH_ROWS} rows, the same for both; gradient descent with one
constant learning rate, without momentum or decay.
""",
    verdict="""
""",
    later="""
""",
    steps=2000,
    seeds=5,
    measure=measure,
    show=show,
)
