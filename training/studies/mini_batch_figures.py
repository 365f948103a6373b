"""This module makes tables and plots of what the study of mini-batches measured."""

from __future__ import annotations

from matplotlib.figure import Figure

from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.mini_batch_fits import (
    ALGORITHM_2,
    BATCH,
    ESTIMATED_ROWS,
    MOMENTA,
    ONE_PASS,
    PASS_BATCH_ROWS,
    PASS_ROWS,
    POPULATION,
    WITHOUT,
    average_name,
    pass_name,
)
from training.studies.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, draw_seeds, label, panels, write_beside
from training.studies.results import Results, Value
from training.studies.study import Shown, plot

MOMENTUM = 0.1
"""With which moving averages are compared with other statistics: torch's own."""

MOMENTUM_SIZES = (2, 32, 512)
"""Batch sizes whose momenta the page tells in full; all of them as differences."""


def show_mini_batches(results: Results, study: str) -> Shown:
    """Accuracy by batch size and statistics; how close each is; momentum; how many rows a pass takes."""
    average = average_name(MOMENTUM)
    sizes = results.values("batch_rows")
    columns = (WITHOUT, POPULATION, ONE_PASS, ALGORITHM_2, average, BATCH)
    accuracies = [[f"{size:g}", *(_accuracy(results, size, name) for name in columns)] for size in sizes]
    compared = ((POPULATION, WITHOUT), (BATCH, POPULATION), (average, POPULATION), (ONE_PASS, POPULATION))
    differences = [
        [f"{size:g}", *(_difference(results, "accuracy", size, *both) for both in compared)] for size in sizes
    ]
    close = [
        [f"{size:g}, {name}", *_close(results, size, name)]
        for size in sizes
        for name in (BATCH, average, ALGORITHM_2, ONE_PASS)
    ]
    momenta = [
        [
            f"{size:g}, {momentum:g}",
            *_close(results, size, average_name(momentum)),
            _accuracy(results, size, average_name(momentum)),
        ]
        for size in sizes
        if size in MOMENTUM_SIZES
        for momentum in MOMENTA
    ]
    off = ("shift_1", "ratio_error_1", "shift_2", "ratio_error_2")
    other_momenta = [
        [
            f"{size:g}, {momentum:g}",
            *(_difference(results, name, size, average_name(momentum), average) for name in off),
            _difference(results, "accuracy", size, average_name(momentum), average),
        ]
        for size in sizes
        for momentum in MOMENTA
        if momentum != MOMENTUM
    ]
    names = [*(pass_name(rows) for rows in PASS_ROWS), ONE_PASS, POPULATION]
    passes = [
        [
            name,
            *(_close(results, PASS_BATCH_ROWS, name) if name != POPULATION else ["0", "1", "0"] * 2),
            _accuracy(results, PASS_BATCH_ROWS, name),
            _difference(results, "accuracy", PASS_BATCH_ROWS, name, POPULATION),
        ]
        for name in names
    ]
    closeness = [f"layer {n}: {what}" for n in (1, 2) for what in ("shift", "ratio", "error of the ratio")]
    further_off = [f"layer {n}: {what}" for n in (1, 2) for what in ("shift", "error of the ratio")]
    says = {
        "accuracy": "Test accuracy over batch size, by the statistics that are used at inference",
        "closeness": "Shift and variance ratio of each estimate over batch size",
    }
    parts = [
        "### Accuracy",
        plot(study, "accuracy", says["accuracy"]),
        "Test accuracy, %, by the statistics that are used at inference.",
        table(["batch size", *columns], accuracies),
        table(["batch size", *(f"{one} less {other}: points" for one, other in compared)], differences),
        READING_DIFFERENCES,
        "### How close they are",
        plot(study, "closeness", says["closeness"]),
        table(["batch size, statistics", *closeness], close),
        READING,
        "### Momentum",
        table(["batch size, momentum", *closeness, "accuracy, %"], momenta),
        f"How much further off than those of momentum {MOMENTUM:g}, at every batch size:",
        table(["batch size, momentum", *further_off, "accuracy, points"], other_momenta),
        "### How many rows a pass takes",
        f"Batches of {PASS_BATCH_ROWS} rows; `{ONE_PASS}` is of {ESTIMATED_ROWS:,} rows.",
        table(["statistics", *closeness, "accuracy, %", "less population: points"], passes),
    ]
    plots = {"accuracy": _accuracy_figure(results), "closeness": _closeness_figure(results)}
    return Shown(figures="\n\n".join(parts), plots=plots)


def _accuracy(results: Results, size: Value, name: str) -> str:
    return mean_and_interval(results.figures("accuracy", batch_rows=size, statistics=name), scale=100)


def _difference(results: Results, figure: str, size: Value, name: str, other: str) -> str:
    both = [results.figures(figure, batch_rows=size, statistics=each) for each in (name, other)]
    return (
        difference_and_interval(*both, scale=100) if figure == "accuracy" else difference_and_interval(*both, digits=3)
    )


def _close(results: Results, size: Value, name: str) -> list[str]:
    return [
        mean_and_interval(results.figures(f"{what}_{layer}", batch_rows=size, statistics=name), digits=3)
        for layer in (1, 2)
        for what in ("shift", "ratio", "ratio_error")
    ]


def _seeds(results: Results, name: str, statistics: str, scale: float = 1.0) -> list[list[float]]:
    sizes = results.values("batch_rows")
    by_size = [results.figures(name, batch_rows=size, statistics=statistics) for size in sizes]
    return [[scale * value for value in seed] for seed in zip(*by_size, strict=True)]


def _accuracy_figure(results: Results) -> Figure:
    figure, axes = panels(2)
    sizes = [float(size) for size in results.values("batch_rows")]
    shown = {WITHOUT: GREY, POPULATION: BLUE, average_name(MOMENTUM): PURPLE, BATCH: ORANGE}
    for axis in axes:
        for name, colour in shown.items():
            draw_seeds(axis, sizes, _seeds(results, "accuracy", name, 100), name="", colour=colour)
        axis.set_xscale("log", base=2)
    for position, (name, colour) in enumerate(shown.items()):
        write_beside(axes[1], sizes[-1], 92.5 - position, name, colour)
    axes[1].set_ylim(88, 99)
    label(axes[0], "Accuracy by the statistics used", "rows of a batch", "test accuracy, %")
    label(axes[1], "The same, closer", "rows of a batch", "test accuracy, %")
    return figure


def _closeness_figure(results: Results) -> Figure:
    figure, (shifts, ratios) = panels(2)
    sizes = [float(size) for size in results.values("batch_rows")]
    shown = {BATCH: ORANGE, average_name(MOMENTUM): PURPLE, ALGORITHM_2: GREEN, ONE_PASS: BLUE}
    for name, colour in shown.items():
        draw_seeds(shifts, sizes, _seeds(results, "shift_1", name), name="", colour=colour)
        draw_seeds(ratios, sizes, _seeds(results, "ratio_2", name), name="", colour=colour)
    shifts.plot(sizes, [size**-0.5 for size in sizes], ":", color=GREY)
    ratios.plot(sizes, [(size - 1) / size for size in sizes], ":", color=GREY)
    shifts.set_yscale("log")
    for position, (name, colour) in enumerate(shown.items()):
        write_beside(ratios, sizes[-1], 2.0 - 0.15 * position, name, colour)
    for axis in (shifts, ratios):
        axis.set_xscale("log", base=2)
    label(shifts, "Shift in layer 1; dotted: 1/√m", "rows of a batch, m", "deviations")
    label(ratios, "Variance ratio in layer 2; dotted: 1 - 1/m", "rows of a batch, m", "estimated / true")
    return figure


READING = """Against the population statistics over all training rows, which are exact: the shift is the distance of the
means in training standard deviations, root mean square over the channels; the ratio is of the variances, estimated to
true, its mean over the channels; its error the root mean square of the ratio less 1. Those of the batch's own
statistics are means over the batches."""
