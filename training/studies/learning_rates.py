"""This module is the study of higher learning rates: accuracy and divergence over three and a half decades.

    bntrain study learning-rates --data FOLDER --output docs/studies

On MNIST it takes 5 minutes of CPU time.
With normalization a network bears ten times the learning rate; by rates that both bear it takes half the steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from matplotlib.figure import Figure
from torch import nn

from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit
from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.networks import draw_gaussian, perceptron
from training.studies.plots import BLUE, ORANGE, draw_seeds, label, panels, scale_by_logarithm, write_beside
from training.studies.results import Outcome, Results, Value
from training.studies.study import Shown, Study, plot

WIDTHS = (100,) * 6
BATCH_ROWS = 60
LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
COMPARED_RATE = 0.1
"""By which the normalized network is compared with itself by other rates."""

TARGET = 0.96
EVALUATE_EVERY = 100
FAILED = 0.2
"""An accuracy below it is no better than a guess."""


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit with every learning rate, with and without."""
    data = data.standardized()
    for learning_rate in LEARNING_RATES:
        for normalized in (True, False):
            network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=normalized)
            draw_gaussian(network, None, seed=seed)
            figures = fit_and_evaluate(network, data, Plan(steps, BATCH_ROWS, learning_rate, seed=seed))
            condition: dict[str, Value] = {"normalized": normalized, "learning_rate": learning_rate}
            yield Outcome(condition=condition, seed=seed, figures=figures)


def fit_and_evaluate(network: nn.Module, data: StudyData, plan: Plan) -> dict[str, float]:
    """Accuracy at the end, the step of the first evaluation that reaches the target, and that of a loss not finite."""
    reached = diverged_at = math.nan
    for step in fit(network, data.train, plan):
        if step.diverged:
            diverged_at = step.number
        elif math.isnan(reached) and (step.number % EVALUATE_EVERY == 0 or step.number == plan.steps):
            reached = step.number if accuracy(network, data.test) >= TARGET else math.nan
    return {"accuracy": accuracy(network, data.test), "steps_to_target": reached, "diverged_at": diverged_at}


def show(results: Results) -> Shown:
    """Accuracy and steps by learning rate, as a table and as plots."""
    rows = []
    for rate in results.values("learning_rate"):
        cells = [f"{rate:g}"]
        for normalized, _, _ in NETWORKS:
            chosen: dict[str, Value] = {"normalized": normalized, "learning_rate": rate}
            accuracies = results.figures("accuracy", **chosen)
            cells += [
                mean_and_interval(accuracies, scale=100),
                mean_and_interval(results.figures("steps_to_target", **chosen), digits=0),
                f"{sum(value < FAILED for value in accuracies)} of {len(accuracies)}",
            ]
        by_name = {
            name: [results.figures(name, normalized=normalized, learning_rate=rate) for normalized in (True, False)]
            for name in ("accuracy", "steps_to_target")
        }
        cells.append(difference_and_interval(*by_name["accuracy"], scale=100))
        cells.append(difference_and_interval(*by_name["steps_to_target"], digits=0))
        for name, digits, scale in (("accuracy", 2, 100), ("steps_to_target", 0, 1)):
            both = [results.figures(name, normalized=True, learning_rate=each) for each in (rate, COMPARED_RATE)]
            cells.append(difference_and_interval(*both, digits=digits, scale=scale))
        rows.append(cells)
    header = ["learning rate"]
    for _, network, _ in NETWORKS:
        header += [f"{network}: accuracy, %", f"{network}: steps to {100 * TARGET:.0f} %", f"{network}: failed"]
    for compared in ("with less without", f"with, less with and {COMPARED_RATE:g}"):
        header += [f"{compared}: accuracy, points", f"{compared}: steps"]
    says = "Test accuracy and steps to a set accuracy over learning rate, with and without batch normalization"
    return Shown(
        figures="\n\n".join((plot(STUDY.name, "rates", says), table(header, rows), READING)),
        plots={"rates": _figure(results)},
    )


def _figure(results: Results) -> Figure:
    figure, (accuracies, steps) = panels(2)
    rates = [float(rate) for rate in results.values("learning_rate")]
    for normalized, name, colour in NETWORKS:
        by_rate = [results.figures("accuracy", normalized=normalized, learning_rate=rate) for rate in rates]
        seeds = [[100 * value for value in seed] for seed in zip(*by_rate, strict=True)]
        draw_seeds(accuracies, rates, seeds, name=name, colour=colour)
        for rate in rates:
            found = results.figures("steps_to_target", normalized=normalized, learning_rate=rate)
            steps.plot([rate] * len(found), found, "o", color=colour, markersize=3)
        means = [fmean(results.figures("steps_to_target", normalized=normalized, learning_rate=rate)) for rate in rates]
        steps.plot(rates, means, color=colour)  # where every seed got there
        reached = [i for i, mean in enumerate(means) if math.isfinite(mean)]
        if reached:
            write_beside(steps, rates[reached[-1]], means[reached[-1]], name, colour)
    accuracies.set_ylim(0, 100)
    steps.set_ylim(0, results.run.steps)
    for axis in (accuracies, steps):
        scale_by_logarithm(axis, x=True)
        axis.set_xlim(rates[0] / 1.5, rates[-1] * 1.5)
    label(accuracies, "Accuracy at the end", "learning rate", "test accuracy, %")
    label(steps, f"Steps to {100 * TARGET:.0f} % test accuracy", "learning rate", "steps")
    return figure


NETWORKS = ((True, "with", BLUE), (False, "without", ORANGE))

READING = f"""Failed: no better than a guess at the end, below {100 * FAILED:.0f} %. Steps are counted to the first
evaluation, one every {EVALUATE_EVERY}, with at least {100 * TARGET:.0f} %; in brackets, how many seeds got there. The
plot has a line where all did.

{READING_DIFFERENCES}"""

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
**Held: it bears about ten times the learning rate.** Of the rates tried, two a decade, 0.3 is the highest that
both networks bear, and 3 the highest with normalization. At 1 and at 3 the one without ends in infinities within 50
steps, with every seed; the one with normalization learns there to within half a point of its best, on average.

**Held: it learns faster.** With normalization 96 % are reached in about half of the steps, from 0.1 to 1 alike; by 0.1
and by 0.3 the other network gets there too, and takes 570 ± 520 and 670 ± 290 steps more. In accuracy, too, the
normalized one is ahead by the rates that both bear, though at 0.01 the interval just reaches 0.

**Not held: that the higher rates are what pays.** The two rates that the normalized network alone bears gain it nothing
over 0.1, which both bear: by 1 neither accuracy nor steps are told from those by 0.1, and 3 takes 530 ± 380 steps more.

**Not held: that there is no limit.** At 10 the network with normalization fails as well. Its loss stays finite, and it
ends with a guess. The gain is a factor of about ten, not the freedom from choosing a rate. That of the paper, 14 times
fewer steps for Inception, is not seen on a perceptron of this size: it is a factor of two.
""",
    later="""
- Bjorck, Gomes, Selman & Weinberger (2018), "Understanding Batch Normalization", arXiv 1806.02375: at low learning
  rates a ResNet is as accurate without; the higher ones that normalization bears are what makes it faster and better.
  Without it, large steps make activations grow with depth until the loss diverges.
- Santurkar et al. (2018), arXiv 1805.11604: the loss along a step is smoother, so that larger steps can be trusted.
- Arora, Li & Lyu (2019), "Theoretical Analysis of Auto Rate-Tuning by Batch Normalization", arXiv 1812.03981: weights
  before a normalization can be scaled at will, and their norm grows until the rate that they were given suits them;
  what is not before one, as the last layer, still needs a rate that is tuned.
- Zhang, Dauphin & Ma (2019), "Fixup Initialization", arXiv 1901.09321, and Brock et al. (2021), arXiv 2102.06171:
  residual networks bear such rates without any normalization, by their first weights or by clipped gradients.
  Normalization is one way to high learning rates, not the only one.
""",
    steps=2000,
    seeds=3,
    measure=measure,
    show=show,
)
