"""This module draws means with their intervals, one name a line, for what has no order: kinds of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes

from training.studies.intervals import half_width


def draw_dots(axis: Axes, seeds: Mapping[str, Sequence[float]], *, name: str, colour: str, lower: float = 0.0) -> None:
    """A dot at the mean of each name, its interval of 95 % as a line through it; the first name on top.

    Args:
        axis: Where to; several calls with the same names draw into the same lines.
        seeds: The values by name, one a seed; a name with none has no dot.
        name: Of the dots, beside the last of them; none if empty.
        colour: Of dots, intervals and name.
        lower: By how much of a line the dots are moved down, where several would cover each other; the name of those
            that are moved up is above the last one.
    """
    for line, values in enumerate(seeds.values()):
        if values:
            width = half_width(values) if len(values) > 1 else 0.0
            axis.errorbar([fmean(values)], [line + lower], xerr=[width], fmt="o", color=colour, markersize=4)
    drawn = [(line, values) for line, values in enumerate(seeds.values()) if values]
    if name and drawn:
        line, values = drawn[-1]
        axis.annotate(
            name,
            (fmean(values), line + lower),
            xytext=(0, 6 if lower < 0 else -12),
            textcoords="offset points",
            color=colour,
            ha="center",
        )
    axis.set_yticks(range(len(seeds)), list(seeds))
    axis.set_ylim(len(seeds) - 0.3, -0.5)
