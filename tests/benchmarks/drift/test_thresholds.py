from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift.thresholds import alarm_rate, threshold
from benchmarks.drift.windows import draw_windows


def test_no_more_of_the_scores_are_above_the_threshold_than_was_asked_for() -> None:
    """It holds for ties too."""
    scores = [float(score) for score in np.random.default_rng(0).integers(30, size=1_000)]

    limit = threshold(scores, 0.05)

    assert alarm_rate(scores, limit) <= 0.05
    assert alarm_rate(scores, np.nextafter(limit, -np.inf)) > 0.05


def test_a_rate_that_so_few_scores_can_not_tell_is_refused() -> None:
    """Of ten scores none says what happens once in twenty times."""
    with pytest.raises(ValueError, match="expected at least 20 scores, got 10"):
        threshold([1.0] * 10, 0.05)


def test_a_window_holds_no_row_twice() -> None:
    """Its rows are as many as it has places."""
    windows = draw_windows(40, 32, 5, seed=0)

    assert [len(np.unique(window)) for window in windows] == [32] * 5


def test_the_same_seed_draws_the_same_windows_and_another_one_others() -> None:
    """Detectors see the same windows, and thresholds are set on others."""
    first, again, other = (draw_windows(40, 8, 2, seed=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_window_of_more_rows_than_there_are_is_refused() -> None:
    """It would be the whole data set, each time."""
    with pytest.raises(ValueError, match="expected at most 40"):
        draw_windows(40, 41, 1, seed=0)
