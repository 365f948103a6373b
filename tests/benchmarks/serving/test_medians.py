from __future__ import annotations

import numpy as np
import pytest

from benchmarks.serving.medians import Median


@pytest.mark.parametrize(
    ("num_values", "low", "high"),
    [(1, 1, 1), (5, 1, 5), (6, 1, 6), (10, 2, 9), (20, 6, 15), (100, 40, 61)],  # David & Nagaraja, 7.1
)
def test_the_interval_leaves_out_as_many_as_are_seldom_on_one_side(num_values: int, low: int, high: int) -> None:
    median = Median.of(range(num_values, 0, -1))

    assert median == Median((num_values + 1) / 2, low, high)


def test_the_true_median_is_inside_as_often_as_is_said() -> None:
    draws = np.random.default_rng(0).lognormal(size=(2000, 25))  # whose true median is 1

    medians = [Median.of(list(draw)) for draw in draws]

    inside = sum(median.low <= 1 <= median.high for median in medians) / len(medians)
    assert 0.95 <= inside <= 0.97  # exactly 0.957, give or take 0.005
