"""This module makes tables and plots of what the study of scale measured."""

from __future__ import annotations

import math
from statistics import fmean

from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.plots import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, draw_seeds, label, panels, write_beside
from training.studies.results import Results
from training.studies.scale_fits import ADAPTED, NARROW, WEIGHT_DECAY, WITH, WITHOUT
from training.studies.study import Shown, plot

HOLDS = 1e-3
"""A departure below it is called none in the table of identities."""

DEPARTURES = {
    "output": "of the output",
    "input_gradient": "of the gradient to u",
    "weight_gradient": "of a times the gradient to aW",
}
NETWORKS = {WITHOUT: ORANGE, WITH: BLUE, NARROW: PURPLE, ADAPTED: GREEN}


def show_identities(results: Results, study: str) -> Shown:
    """Departures over the factor, and between which factors there are none."""
    figure, axes = panels(2)
    rows = []
    kinds = [(dtype, eps) for eps in results.values("eps") for dtype in results.values("dtype")]
    for (dtype, eps), colour in zip(kinds, COLOURS, strict=True):
        chosen = {"dtype": dtype, "eps": eps}
        factors = results.series("factor", **chosen)[0]
        means = {name: _over_seeds(results.series(name, **chosen)) for name in DEPARTURES}
        for axis, name in zip(axes, ("output", "weight_gradient"), strict=True):
            axis.loglog(factors, [value or math.nan for value in means[name]], color=colour)
        held = [f for i, f in enumerate(factors) if all(values[i] < HOLDS for values in means.values())]
        middle = [i for i, factor in enumerate(factors) if held and factor == max(held[len(held) // 2], 1e6)]
        rows.append(
            [
                f"{dtype}, eps {eps}",
                f"{min(held):.0e} to {max(held):.0e}" if held else "none",
                *(f"{values[middle[0]]:.1e}" if middle else "none" for values in means.values()),
            ]
        )
    for position, ((dtype, eps), colour) in enumerate(zip(kinds, COLOURS, strict=True)):
        write_beside(axes[1], 1e26, 10.0 ** (-4 * position), f"{dtype}, eps {eps}", colour)
    for axis, name in zip(axes, ("output", "weight_gradient"), strict=True):
        axis.set_ylim(1e-17, 10)
        label(axis, f"Departure {DEPARTURES[name]}", "factor a of the weights", "relative to its norm")
    header = ["computed in", f"factors with departures below {HOLDS:g}"]
    header += [f"departure {name}, in their middle" for name in DEPARTURES.values()]
    says = "How far output and gradient depart from the identities over 50 orders of magnitude of the factor"
    text = "\n\n".join(
        ("### The identities", plot(study, "identities", says), table(header, rows), _READING_IDENTITIES)
    )
    return Shown(figures=text, plots={"identities": figure})


def show_fits(results: Results, study: str) -> Shown:
    """Accuracy by initial scale, and how much the weights grew."""
    figure, (accuracies, norms) = panels(2)
    scales = [float(scale) for scale in results.values("scale")]
    for name, colour in NETWORKS.items():
        by_scale = [results.figures("accuracy", network=name, scale=scale) for scale in scales]
        seeds = [[100 * value for value in seed] for seed in zip(*by_scale, strict=True)]
        draw_seeds(accuracies, scales, seeds, name="", colour=colour)
        grown = [fmean(results.figures("grown", network=name, scale=scale)) for scale in scales]
        norms.loglog(scales, [scale * factor for scale, factor in zip(scales, grown, strict=True)], color=colour)
    for position, (name, colour) in enumerate(NETWORKS.items()):
        write_beside(norms, scales[-1] * 1.5, 10.0 ** (2 - position), name, colour)
    norms.loglog(scales, scales, ":", color=GREY)
    accuracies.set_xscale("log")
    accuracies.set_ylim(0, 100)
    label(accuracies, "Accuracy at the end", "initial scale, Glorot's is 1", "test accuracy, %")
    label(norms, "Where the weights ended; dotted: where they began", "initial scale", "final scale")
    rows = []
    for scale in scales:
        by_name = {name: results.figures("accuracy", network=name, scale=scale) for name in NETWORKS}
        grown_by = [results.figures("grown", network=name, scale=scale) for name in (WITH, NARROW)]
        cells = [mean_and_interval(values, scale=100) for values in by_name.values()]
        cells.append(difference_and_interval(by_name[WITH], by_name[NARROW], scale=100))
        rows.append([f"{scale:g}", *cells, *map(_mean, grown_by)])
    header = ["initial scale", *(f"{name}: accuracy, %" for name in NETWORKS)]
    header += [f"{WITH} less {NARROW}: points", *(f"{name}: weights grew by" for name in (WITH, NARROW))]
    says = "Test accuracy and final scale of the weights over their initial scale, for four networks"
    text = "\n\n".join(("### Initial scale", plot(study, "initial", says), table(header, rows), _READING_FITS))
    return Shown(figures=text, plots={"initial": figure})


def show_decay(results: Results, study: str) -> Shown:
    """The loss and the effective learning rate over the steps of the three fits."""
    figure, axes = panels(2)
    steps = results.series("step", part="weight decay")[0]
    kinds = {"decayed": BLUE, "grown": GREEN, "neither": ORANGE}
    for axis, what in zip(axes, ("loss", "rate"), strict=True):
        for kind, colour in kinds.items():
            means = _over_seeds(results.series(f"{what}_{kind}", part="weight decay"))
            axis.plot(
                steps, means, ":" if kind == "grown" else "-", color=colour, linewidth=3 if kind == "grown" else 1.5
            )
            write_beside(axis, steps[-1], means[-1], "" if kind == "grown" else _DECAY_NAMES[kind], colour)
        axis.set_xscale("log")
        axis.set_yscale("log")
    label(axes[0], "Loss of the batch; dotted: growing rate", "step", "cross entropy")
    label(axes[1], "Effective learning rate", "step", "rate / squared norm of the weights")
    differences = results.figures("largest_difference", part="weight decay")
    last = results.figures("last_rate", part="weight decay")[0]
    text = f"""### Weight decay

{plot(study, "decay", "Loss and effective learning rate over the steps: weight decay and the growing rate coincide")}

Largest relative difference of the loss between weight decay of {WEIGHT_DECAY:g} and the growing learning rate, over all
{results.run.steps:,} steps and {results.run.seeds} seeds: {max(differences):.1e}. The growing rate ended at
{last:.3g}."""
    return Shown(figures=text, plots={"decay": figure})


def _over_seeds(series: list[list[float]]) -> list[float]:
    return [fmean(values) for values in zip(*series, strict=True)]


def _mean(values: list[float]) -> str:
    given = [value for value in values if math.isfinite(value)]
    return f"{fmean(given):.3g}" if given else "none"


_DECAY_NAMES = {"decayed": "weight decay", "neither": "neither"}

_READING_IDENTITIES = """Departures are norms of differences, in norms of what the identities demand, and means over the
seeds; 1 is a layer that gives nothing, or nothing of what it should. They are told in the middle of the range where
there are none, but not below a factor of 1e6, where eps is seen no more."""

_READING_FITS = f"""Means over the seeds; growth is the final norm in the first one, the geometric mean of the three
hidden layers; none where the loss became infinite.

{READING_DIFFERENCES}"""
