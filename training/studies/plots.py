"""This module draws the plots of the studies: small SVG files, the same bytes for the same results.

Their ground is transparent and their words are of a grey that is read on white and on black alike; so are the colours,
of Okabe & Ito, which people who see fewer of them can tell apart too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.intervals import half_width

BLUE, ORANGE, GREEN, PURPLE = COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b86a9b")
"""Of what is normalized, of what is not, and of whatever else there is."""

GREY = "#7a7a7a"
_PANEL_INCHES = (3.6, 2.9)
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "bntrain",
}


def panels(columns: int, rows: int = 1, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels beside and below each other, in reading order."""
    width, height = _PANEL_INCHES
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
        return figure, [axis for row in axes for axis in row]


def label(axis: Axes, title: str, x: str, y: str) -> None:
    """What a panel shows, and what its axes are, with their units."""
    axis.set_title(title, loc="left")
    axis.set_xlabel(x)
    axis.set_ylabel(y)


def draw_seeds(
    axis: Axes, x: Sequence[float], seeds: Sequence[Sequence[float]], *, name: str, colour: str, name_at: int = -1
) -> None:
    """The mean over seeds as a line with its name beside it, the interval of 95 % as a band around it.

    Args:
        axis: Where to.
        x: The points.
        seeds: The values at the points, one sequence a seed.
        name: Beside the line; none if empty.
        colour: Of line, band and name.
        name_at: Beside which point; the last one, unless another line ends there too.
    """
    points = list(zip(*seeds, strict=True))
    means = [sum(values) / len(values) for values in points]
    axis.plot(x, means, color=colour)
    if len(seeds) > 1:
        widths = [half_width(values) for values in points]
        low, high = ([m + sign * w for m, w in zip(means, widths, strict=True)] for sign in (-1, 1))
        axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    write_beside(axis, x[name_at], means[name_at], name, colour)


def write_beside(axis: Axes, x: float, y: float, name: str, colour: str) -> None:
    """A name to the right of a point; no legend is to be looked up."""
    if name:
        axis.annotate(name, (x, y), xytext=(4, 0), textcoords="offset points", color=colour, va="center")


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure; without a date, so that the same results give the same file."""
    with mpl.rc_context(_STYLE):
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    # matplotlib ends some lines in blanks
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
