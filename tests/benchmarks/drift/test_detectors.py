from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks.drift.data import Pixels
from benchmarks.drift.detectors.detector import Detector, pixels_as_features
from benchmarks.drift.detectors.kolmogorov_smirnov import KolmogorovSmirnov
from benchmarks.drift.detectors.mean_discrepancy import MeanDiscrepancy
from benchmarks.drift.thresholds import alarm_rate, threshold
from benchmarks.drift.windows import draw_windows
from tests.benchmarks.drift.blobs import blobs

KINDS = [KolmogorovSmirnov, MeanDiscrepancy]


def images(rows: int, seed: int) -> Pixels:
    return (blobs(rows, seed)[0][:, None] / 255).astype(np.float32)


def test_the_score_of_kolmogorov_and_smirnov_is_the_largest_statistic_that_scipy_finds() -> None:
    """Ties included: most pixels have few values."""
    reference, live = _of_few_values(images(90, 1)), _of_few_values(images(60, 2))
    window = np.arange(40)[::-1]
    features = live[window].reshape(40, -1)

    score = KolmogorovSmirnov(pixels_as_features, reference).look_at(live)(window)

    expected = max(ks_2samp(features[:, i], reference.reshape(90, -1)[:, i]).statistic for i in range(64))
    assert score == pytest.approx(expected, abs=1e-6)  # steps are in float32


def test_the_mean_discrepancy_is_that_of_its_definition() -> None:
    """Kernel by kernel, row by row, in float64."""
    reference, live = images(30, 1), images(50, 2)
    window = np.array([3, 1, 40, 22, 7])
    x, y = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (reference, live[window]))
    median = np.median([np.square(x[i] - x[j]).sum() for i in range(30) for j in range(i)])

    score = MeanDiscrepancy(pixels_as_features, reference).look_at(live)(window)

    def kernel(a: NDArray[Any], b: NDArray[Any]) -> float:
        return float(np.exp(-np.square(a - b).sum() / median))

    expected = (
        np.mean([kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j])
        - 2 * np.mean([kernel(a, b) for a in y for b in x])
        + np.mean([kernel(x[i], x[j]) for i in range(30) for j in range(30) if i != j])
    )
    assert score == pytest.approx(expected, abs=1e-5)  # kernels of about 1, in float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_gross_shift_is_always_noticed(kind: type[KolmogorovSmirnov | MeanDiscrepancy]) -> None:
    """Images that are brighter by a quarter are like none of the reference."""
    detector = kind(pixels_as_features, images(200, 1))
    limit = threshold(scores(detector, images(1_000, 2), seed=0), 0.05)

    alarms = alarm_rate(scores(detector, images(1_000, 3) + np.float32(0.25), seed=1), limit)

    assert alarms == 1


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_has_not_moved_raises_about_as_many_alarms_as_were_asked_for(
    kind: type[KolmogorovSmirnov | MeanDiscrepancy],
) -> None:
    """Of 200 windows at 5 %, 10 are expected; more than 24 come up once in 30,000 times, and seeds are fixed."""
    detector = kind(pixels_as_features, images(200, 1))
    limit = threshold(scores(detector, images(1_000, 2), seed=0), 0.05)

    alarms = alarm_rate(scores(detector, images(1_000, 3), seed=1), limit)

    assert alarms <= 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_has_the_same_score_whatever_rows_are_around_it(
    kind: type[KolmogorovSmirnov | MeanDiscrepancy],
) -> None:
    """What is computed once for a data set is each row's own."""
    detector, live = kind(pixels_as_features, images(50, 1)), images(100, 2)
    window = np.array([60, 61, 62, 70])

    among_all, alone = detector.look_at(live)(window), detector.look_at(live[window])(np.arange(4))

    assert among_all == pytest.approx(alone, rel=1e-5, abs=1e-6)  # products of other shapes are summed in other orders


def _of_few_values(pixels: Pixels) -> Pixels:
    return (np.round(pixels * 8) / 8).astype(np.float32)


def scores(detector: Detector, pixels: Pixels, *, seed: int) -> list[float]:
    score = detector.look_at(pixels)
    return [score(window) for window in draw_windows(len(pixels), 32, 200, seed=seed)]
