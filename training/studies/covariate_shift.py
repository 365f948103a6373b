"""This module is the study of internal covariate shift: the paper's Figure 1, and a definition by gradients beside it.

    bntrain study covariate-shift --data FOLDER --output docs/studies

On MNIST it takes 5 minutes of CPU time.
Distributions of inputs are more stable with normalization, and it learns sooner; by gradients there is as much shift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

import torch
from matplotlib.figure import Figure
from torch import nn

from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit, spread_steps
from training.studies.gradient_shift import gradient_shifts, parameters_of
from training.studies.input_shift import PERCENTILES, median_range, percentiles, width_ratio
from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.networks import draw_gaussian, inputs_of, perceptron
from training.studies.plots import BLUE, ORANGE, draw_seeds, label, panels, scale_by_logarithm, write_beside
from training.studies.results import Outcome, Results, rounded
from training.studies.study import Shown, Study, plot

WIDTHS = (100, 100, 100)
DEVIATION = 0.1
BATCH_ROWS = 60
LEARNING_RATE = 0.5
UNIT = 0
"""The typical one whose input is shown; it was chosen before anything was seen."""
OBSERVED_ROWS = 2000
EVALUATIONS = 50
SHIFTS = 400
SHIFTS_A_POINT = 20


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit with and without, and look at the last hidden layer's inputs and at all gradients on the way."""
    data = data.binary()
    observed = data.test.values[:OBSERVED_ROWS]
    evaluated = spread_steps(steps, EVALUATIONS)
    every = max(steps // SHIFTS, 1)
    for normalized in (True, False):
        network = perceptron(data.in_features, WIDTHS, nn.Sigmoid, normalized=normalized)
        draw_gaussian(network, DEVIATION, seed=seed)
        before = parameters_of(network)
        accuracies, inputs, shifts = [], [], []
        for step in fit(network, data.train, Plan(steps, BATCH_ROWS, LEARNING_RATE, seed=seed)):
            if step.number % every == 0:
                shifts.append(gradient_shifts(network, before, step.values, step.labels))
            if step.number in evaluated:
                inputs.append(percentiles(inputs_of(network, nn.Sigmoid, observed)[-1]))
                accuracies.append(accuracy(network, data.test))
            if (step.number + 1) % every == 0:
                before = parameters_of(network)
        over_steps = torch.stack(inputs)
        series = {"steps": [float(number) for number in evaluated], "accuracy": rounded(accuracies)}
        series |= {
            f"percentile_{percent}": rounded(over_steps[:, i, UNIT].tolist()) for i, percent in enumerate(PERCENTILES)
        }
        late = over_steps[[number >= steps / 100 for number in evaluated]]
        figures = {
            "accuracy": accuracies[-1],
            "median_range": median_range(over_steps),
            "late_median_range": median_range(late),
            "late_width_ratio": width_ratio(late),
        }
        for layer, of_layer in enumerate(zip(*shifts, strict=True), start=1):
            for name in ("distance", "relative", "cosine"):
                values = [getattr(shift, name) for shift in of_layer]
                figures[f"{name}_{layer}"] = rounded([fmean(values)])[0]
                series[f"{name}_{layer}"] = rounded(_means(values))
        series["shift_steps"] = _means([every * (i + 1.0) for i in range(len(shifts))])
        yield Outcome(condition={"normalized": normalized}, seed=seed, figures=figures, series=series)


def _means(values: Sequence[float]) -> list[float]:
    """Of so many values in a row each."""
    parts = [values[start : start + SHIFTS_A_POINT] for start in range(0, len(values), SHIFTS_A_POINT)]
    return [fmean(part) for part in parts]


def show(results: Results) -> Shown:
    """Figure 1 of the paper, the gradients, and a table of both."""
    header = ["", "with", "without", "with less without"]
    rows = [
        ["test accuracy at the end, %", *_compared(results, "accuracy", scale=100)],
        ["range of a unit's median input, in widths", *_compared(results, "median_range")],
        ["the same from 1 % of the steps on", *_compared(results, "late_median_range")],
        ["widest over narrowest, from 1 % of the steps on", *_compared(results, "late_width_ratio")],
    ]
    for name, says in (("cosine", "cosine of both gradients"), ("relative", "distance of both over the first's norm")):
        rows += [[f"{says}, layer {layer}", *_compared(results, f"{name}_{layer}", digits=3)] for layer in SHOWN_LAYERS]
    rows += [[f"distance, layer {layer}", *_compared(results, f"distance_{layer}", digits=3)] for layer in SHOWN_LAYERS]
    says = (
        "Test accuracy over steps, and percentiles of the input of a sigmoid of the last hidden layer over steps, "
        "with and without batch normalization"
    )
    shifts = "Cosine and relative distance of the gradients before and after the layers before have moved, over steps"
    return Shown(
        figures="\n\n".join(
            (plot(STUDY.name, "figure-1", says), plot(STUDY.name, "gradients", shifts), table(header, rows), READING)
        ),
        plots={"figure-1": _figure_1(results), "gradients": _gradients(results)},
    )


def _compared(results: Results, figure: str, digits: int = 2, scale: float = 1.0) -> list[str]:
    both = [results.figures(figure, normalized=normalized) for normalized in (True, False)]
    means = [mean_and_interval(values, digits=digits, scale=scale) for values in both]
    return [*means, difference_and_interval(*both, digits=digits, scale=scale)]


def _figure_1(results: Results) -> Figure:
    figure, (accuracies, without, with_) = panels(3)
    steps = results.series("steps")[0]
    for normalized, name, colour in NETWORKS:
        seeds = [[100 * value for value in seed] for seed in results.series("accuracy", normalized=normalized)]
        draw_seeds(accuracies, steps, seeds, name=name, colour=colour)
    label(accuracies, "a  Test accuracy", "step", "accuracy, %")
    for axis, (normalized, name, colour) in zip((with_, without), NETWORKS, strict=True):
        for outcome in results.where(normalized=normalized):
            first = outcome.seed == 0
            for percent in PERCENTILES:
                values = outcome.series[f"percentile_{percent}"]
                axis.plot(steps, values, color=colour, alpha=1.0 if first else 0.25, linewidth=1.5 if first else 0.8)
                if first:
                    write_beside(axis, steps[-1], values[-1], f"{percent} %", colour)
        letter = "c" if normalized else "b"
        label(axis, f"{letter}  Input of a last sigmoid, {name}", "step", "percentiles over test rows")
    for axis in (accuracies, without, with_):
        scale_by_logarithm(axis, x=True)
    accuracies.set_ylim(0, 100)
    low, high = (pick(axis.get_ylim()[i] for axis in (without, with_)) for i, pick in ((0, min), (1, max)))
    for axis in (without, with_):
        axis.set_ylim(low, high)
    return figure


def _gradients(results: Results) -> Figure:
    figure, axes = panels(len(SHOWN_LAYERS), 2)
    steps = results.series("shift_steps")[0]
    for i, (measure_name, says) in enumerate((("cosine", "cosine"), ("relative", "distance / norm"))):
        for layer, axis in zip(SHOWN_LAYERS, axes[i * len(SHOWN_LAYERS) :], strict=False):
            for normalized, name, colour in NETWORKS:
                draw_seeds(
                    axis,
                    steps,
                    results.series(f"{measure_name}_{layer}", normalized=normalized),
                    name=name,
                    colour=colour,
                )
            axis.set_ylim(0, 1.05)
            axis.xaxis.set_major_formatter("{x:,g}")
            label(axis, f"Layer {layer}", "step", says)
    return figure


NETWORKS = ((True, "with", BLUE), (False, "without", ORANGE))
SHOWN_LAYERS = (2, 3, 4)

READING = f"""The plots b and c show one unit, number {UNIT}, chosen before anything was seen; bold is seed 0, faint are
the others. The width of an input is from its 15th to its 85th percentile; the range of its median, from the lowest
to the highest over the fit, is in mean widths, and the mean over all units of the last hidden layer. How many times as
wide as at its narrowest a unit's input was at its widest is the median over these units. Gradients are compared at
{SHIFTS} steps of each fit, at equal distances; a point of the plot is the mean of {SHIFTS_A_POINT}. Layer
{len(WIDTHS) + 1} gives the logits. Nothing is before layer 1, so that its gradient can't be out of date.

{READING_DIFFERENCES}"""

STUDY = Study(
    name="covariate-shift",
    title="Internal covariate shift",
    claim="""
> The distributions in the original network change significantly over time, both in their mean and the variance, which
> complicates the training of the subsequent layers. In contrast, the distributions in the batch-normalized network are
> much more stable as training progresses, which aids the training.

Ioffe & Szegedy (2015), section 4.1, of Figure 1, which also shows that the network with batch normalization is more
accurate, sooner.
""",
    setup=f"""
The paper's network: {len(WIDTHS)} hidden layers of {WIDTHS[0]} sigmoids on binary pixels, batches of {BATCH_ROWS} rows,
small random Gaussian weights. The paper leaves open how small, here their deviation is {DEVIATION}, and how it
descends, here by the gradient alone, without momentum or decay, with a learning rate of {LEARNING_RATE} throughout. The
paper fits for 50,000 steps. Both networks have the same first weights and the same batches. Percentiles are of
{OBSERVED_ROWS:,} test rows at once, normalized by their own mean and variance, as in training.

Beside it, the shift as Santurkar et al. (2018, definition 2.1) define it: the gradient by a layer's weight, compared
with the one that it would have been told if the layers before it had made their step already, on the same batch
(`training/studies/gradient_shift.py`).
""",
    verdict="""
**Held: distributions are more stable.** Over the fit a unit's median ranges eight times as far without normalization
as with it, measured in its width; from one percent of the steps on it is four times as far.

**Held, at the start: training is faster.** Without, next to nothing is learned for the first hundred steps, and 90 %
take 1,200 to 1,450 steps rather than 350 to 530. Then the difference is not told from none: both pass 95 % at the same
evaluations, after 3,200 to 4,000 steps. At the end the normalized network is ahead again, by 0.46 ± 0.26 points.

**Not quite: they are not stable.** With normalization the inputs widen over the fit, 2.4 to 2.7 times in the unit
shown, for the scale is learned.

**Not held: there is no less covariate shift by gradients.** Relative to a layer's gradient, what it was told is out of
date by three to four fifths of its norm. With normalization it is not shown to be less so in any layer, and is more so
in the last one; in absolute terms it is more in all. Only the direction is kept a little better, in layers 3 and 4. So
stable distributions and gradients that stay true are two things, and here normalization brings the first.
""",
    later="""
- Santurkar, Tsipras, Ilyas & Madry (2018), "How Does Batch Normalization Help Optimization?", arXiv 1805.11604: a VGG
  with noise of changing mean and variance behind each normalization, whose inputs are less stable than without any,
  is fitted as fast as with plain normalization; and by gradients, networks with normalization have as much shift or
  more. "Such distributional stability of layer inputs has little to do with the success of BatchNorm." They find that
  the loss becomes smoother instead, which other normalizations do too.
- Bjorck, Gomes, Selman & Weinberger (2018), "Understanding Batch Normalization", arXiv 1806.02375, trace the gain to
  the learning rates that a network bears; see [higher learning rates](learning-rates.md).
""",
    steps=20_000,
    seeds=3,
    measure=measure,
    show=show,
)
