"""This module measures how the distribution of a layer's inputs moves over a fit, after the paper's Figure 1."""

from __future__ import annotations

import torch
from torch import Tensor

PERCENTILES = (15, 50, 85)


def percentiles(inputs: Tensor) -> Tensor:
    """The percentiles of every unit's input over rows: ``(percentiles, units)`` of ``(rows, units)``."""
    return torch.quantile(inputs, torch.tensor(PERCENTILES) / 100, dim=0)


def median_range(over_steps: Tensor) -> float:
    """How far a unit's median went up and down, in its mean width; the mean over units.

    Args:
        over_steps: Percentiles ``(steps, percentiles, units)``; the width is from the lowest percentile to the highest.
    """
    medians, widths = over_steps[:, PERCENTILES.index(50)], _widths(over_steps)
    return float(((medians.amax(dim=0) - medians.amin(dim=0)) / widths.mean(dim=0)).mean())


def width_ratio(over_steps: Tensor) -> float:
    """How many times as wide as at its narrowest a unit's input was at its widest; the median over units.

    Args:
        over_steps: Percentiles ``(steps, percentiles, units)``, as above.
    """
    widths = _widths(over_steps)
    return float((widths.amax(dim=0) / widths.amin(dim=0)).median())


def _widths(over_steps: Tensor) -> Tensor:
    return over_steps[:, -1] - over_steps[:, 0]
