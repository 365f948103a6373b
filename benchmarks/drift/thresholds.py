"""This module sets a detector's threshold by what it says of data that has not moved.

So detectors of any scale are compared at the same rate of false alarms. Tests with p-values come with thresholds of
their own, but these hold for rows and features that are independent of each other, which pixels are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def threshold(unmoved: Sequence[float], false_alarms: float) -> float:
    """The least of the scores that at most this share of them is above.

    Args:
        unmoved: Scores of windows whose rows are like the reference.
        false_alarms: From 0 to 1.

    Raises:
        ValueError: If there are too few scores for such a share to be told.
    """
    if len(unmoved) * false_alarms < 1:
        raise ValueError(f"unmoved: expected at least {np.ceil(1 / false_alarms):.0f} scores, got {len(unmoved)}")
    return float(np.quantile(unmoved, 1 - false_alarms, method="higher"))


def alarm_rate(scores: Sequence[float], limit: float) -> float:
    """Share of the scores that are above the limit."""
    return float((np.asarray(scores) > limit).mean())
