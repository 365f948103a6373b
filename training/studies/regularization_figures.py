"""This module makes tables and plots of what the study of regularization measured."""

from __future__ import annotations

from matplotlib.figure import Figure

from training.studies.dots import draw_dots
from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.plots import BLUE, GREEN, ORANGE, draw_seeds, label, panels
from training.studies.regularization_fits import DROPPED, KINDS
from training.studies.results import Results, Value
from training.studies.study import Shown, plot

LOSSES = ("train_loss", "test_loss", "loss_gap")
ACCURACIES = ("train_accuracy", "test_accuracy", "accuracy_gap")

COMPARED = (
    ("normalization", "neither"),
    ("Dropout", "neither"),
    ("both", "normalization"),
    ("both, Dropout last", "normalization"),
)
"""Which kinds of network the page compares seed by seed."""


def show_regularization(results: Results, study: str) -> Shown:
    """Gaps by kind of network; what Dropout does to the statistics; gaps by the noise of the statistics."""
    rows, differences, disharmony = [], [], []
    for count in results.values("rows"):
        for kind in KINDS:
            chosen: dict[str, Value] = {"rows": count, "kind": kind.name}
            name = f"{kind.name}, {count:,.0f} rows"
            rows.append([name, *_gaps(results, chosen)])
            if kind.normalized:
                disharmony.append([name, *_by_averages(results, chosen)])
        for one, other in COMPARED:
            name = f"{one}, less {other}, {count:,.0f} rows"
            both: list[dict[str, Value]] = [{"rows": count, "kind": kind} for kind in (one, other)]
            differences.append([name, *_differences(results, *both)])
    sizes = results.values("group_rows")
    noise = [[f"{size:g}", *_gaps(results, {"group_rows": size})] for size in sizes]
    less_noise = [
        [f"{size:g}, less {sizes[-1]:g}", *_differences(results, {"group_rows": size}, {"group_rows": sizes[-1]})]
        for size in sizes[:-1]
    ]
    gaps = ["loss: training", "test", "gap", "accuracy, %: training", "test", "gap"]
    header = ["network", "ratio of the averages' variances to the population's"]
    header += ["test loss by averages", "by population", "averages less population"]
    header += ["test accuracy, %, by averages", "by population", "averages less population: points"]
    gap_differences = ["loss: training", "test", "gap", "accuracy, points: training", "test", "gap"]
    says = {
        "gaps": "Test loss less training loss, and test accuracy, by kind of network",
        "noise": "Training loss, test loss and test accuracy over the rows that are normalized together",
    }
    parts = [
        "### With and without",
        plot(study, "gaps", says["gaps"]),
        table(["network", *gaps], rows),
        table(["network", *gap_differences], differences),
        READING_DIFFERENCES,
        "### What Dropout does to the statistics",
        table(header, disharmony),
        READING,
        "### The noise of the statistics",
        plot(study, "noise", says["noise"]),
        table(["rows normalized together", *gaps], noise),
        table(["rows normalized together", *gap_differences], less_noise),
    ]
    return Shown(figures="\n\n".join(parts), plots={"gaps": _gap_figure(results), "noise": _noise_figure(results)})


def _gaps(results: Results, chosen: dict[str, Value]) -> list[str]:
    losses = [mean_and_interval(results.figures(name, **chosen), digits=4) for name in LOSSES]
    return losses + [mean_and_interval(results.figures(name, **chosen), scale=100) for name in ACCURACIES]


def _differences(results: Results, one: dict[str, Value], other: dict[str, Value]) -> list[str]:
    both = {name: [results.figures(name, **chosen) for chosen in (one, other)] for name in (*LOSSES, *ACCURACIES)}
    losses = [difference_and_interval(*both[name], digits=4) for name in LOSSES]
    return losses + [difference_and_interval(*both[name], scale=100) for name in ACCURACIES]


def _by_averages(results: Results, chosen: dict[str, Value]) -> list[str]:
    cells = [mean_and_interval(results.figures("average_ratio", **chosen), digits=3)]
    for name, digits, scale in (("test_loss", 4, 1), ("test_accuracy", 2, 100)):
        both = [results.figures(each, **chosen) for each in (f"{name}_by_averages", name)]
        cells += [mean_and_interval(values, digits, scale) for values in both]
        cells.append(difference_and_interval(*both, digits=digits, scale=scale))
    return cells


def _gap_figure(results: Results) -> Figure:
    figure, axes = panels(2)
    shown = zip(axes, (("loss_gap", 1, "gap, nats"), ("test_accuracy", 100, "test accuracy, %")), strict=True)
    for axis, (figure_name, scale, unit) in shown:
        for count, colour, lower in zip(results.values("rows"), (BLUE, ORANGE), (-0.1, 0.1), strict=False):
            by_kind = {
                kind.name: [scale * value for value in results.figures(figure_name, rows=count, kind=kind.name)]
                for kind in KINDS
            }
            draw_dots(axis, by_kind, name=f"{count:,.0f} rows", colour=colour, lower=lower)
        label(axis, "Test loss less training loss" if scale == 1 else "Accuracy", unit, "")
    return figure


def _noise_figure(results: Results) -> Figure:
    figure, (losses, accuracies) = panels(2)
    sizes = [float(size) for size in results.values("group_rows")]

    def seeds(name: str) -> list[list[float]]:
        return [list(each) for each in zip(*(results.figures(name, group_rows=size) for size in sizes), strict=True)]

    for name, words, colour in (("train_loss", "training", ORANGE), ("test_loss", "test", BLUE)):
        draw_seeds(losses, sizes, seeds(name), name=words, colour=colour)
    percent = [[100 * value for value in each] for each in seeds("test_accuracy")]
    draw_seeds(accuracies, sizes, percent, name="", colour=GREEN)
    for axis in (losses, accuracies):
        axis.set_xscale("log", base=2)
    losses.set_yscale("log")
    label(losses, "Loss", "rows normalized together", "cross entropy, nats")
    label(accuracies, "Accuracy", "rows normalized together", "test accuracy, %")
    return figure


READING = f"""Moving averages are of batches from which Dropout took its {100 * DROPPED:g} %; the population statistics
are of the same rows without Dropout, as at inference; the ratio is the mean over both layers. Everywhere else on this
page the population's are used."""
