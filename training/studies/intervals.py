"""This module says how sure a mean over few seeds is: Student's interval of 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t

CONFIDENCE = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half of the interval of 95 % around the mean, in which the true mean is if the values are normal.

    ``t(0.975, n - 1) s / sqrt(n)``; NaN of fewer than two values.
    """
    if len(values) < 2:
        return math.nan
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def mean_and_interval(values: Sequence[float], digits: int = 2, scale: float = 1.0) -> str:
    """``97.31 ± 0.12`` of the values times ``scale``; what is no number is left out, and said.

    Args:
        values: One a seed; NaN where a fit gave none.
        digits: Behind the point.
        scale: 100 for shares that are shown in percent.
    """
    given = [scale * value for value in values if math.isfinite(value)]
    if not given:
        return "none"
    text = f"{fmean(given):.{digits}f}"
    if len(given) > 1:
        text += f" ± {half_width(given):.{digits}f}"
    return text if len(given) == len(values) else f"{text} ({len(given)} of {len(values)})"
