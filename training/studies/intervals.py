"""This module says how sure a mean over few seeds is, and the difference of two: Student's interval of 95 %.

Fits of one seed share first weights and batches, so what a seed is luckier with it is luckier with in both of them.
Their difference, seed by seed, is surer than either mean: of two intervals that overlap it may yet leave 0 out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t

CONFIDENCE = 0.95

READING_DIFFERENCES = """Differences are of the same seed, whose fits share first weights and batches; their intervals
are of them, not of either mean. Bold ones leave 0 out, as one in twenty does by chance."""
"""What a page says below a table of them."""


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


def difference_and_interval(
    values: Sequence[float], others: Sequence[float], *, digits: int = 2, scale: float = 1.0
) -> str:
    """``+0.49 ± 0.10`` of the values less the others, in bold where the interval leaves 0 out.

    Args:
        values: One a seed; NaN where a fit gave none.
        others: Of the same seeds in the same order.
        digits: Behind the point.
        scale: 100 for points of shares that are shown in percent.
    """
    pairs = [scale * (value - other) for value, other in zip(values, others, strict=True)]
    given = [difference for difference in pairs if math.isfinite(difference)]
    text = mean_and_interval(pairs, digits)
    if given and fmean(given) > 0:
        text = f"+{text}"
    return f"**{text}**" if len(given) > 1 and abs(fmean(given)) > half_width(given) else text
