"""This module finds how scores of windows are distributed whose rows are like the training rows.

Windows are drawn from held-out rows, again and again. Were they drawn from the rows that the features' mean and
covariance come from, they would look more alike than windows of new rows will. So the rows are cut in two, at random
and several times: windows are drawn from one half, whose mean is ``m'``, and mean ``m`` and covariance come from the
other. A window's mean features, drawn with replacement, less ``m'`` are what chance does to a window. What is left is
the error of ``m`` itself, which all windows to come will share. Where there are ``N`` rows, ``m' - m`` has the
covariance ``4 C / N``, and the mean of all rows errs by ``C / N``; so half of it is added.

Few rows make thresholds too high rather than too low: half of them tell less of the covariance than all do.

Source: Efron & Tibshirani (1993), chapters 6 and 17, for drawing windows and for cross-validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration, Features, LayerCalibration, features, groups
from models.moments import Array
from models.observed_rows import Columns, ObservedRows

WINDOW_ROWS = (32, 128, 512)

FEWEST_ROWS = 64
"""Fewer held-out rows say too little: half of them are the smallest window."""

MOST_VALUES = 2**26
"""Of all features of all held-out rows; further rows are left out."""

CUTS = 4
WINDOWS = 20_000
"""Windows of each size, over all cuts."""

WINDOWS_AT_ONCE = 500

RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
"""The last one is ten windows of those that are drawn."""

LEAST_DEVIATION = 1e-3
"""Of a feature over held-out rows, in training deviations: what varies less is compared as if it varied so much."""

LEAST_SPREAD = 0.1
"""Of the cube root of T2. By Wilson and Hilferty that of k features has the deviation ``sqrt(2) / 3 k^(-1/6)``, 0.1 for
10,000 of them; less has a layer in which nothing varies, and whose every rounding error would be a score."""


def calibrate(columns: Columns, observed: Sequence[ObservedRows], *, seed: int) -> Calibration | None:
    """The calibration that held-out rows give; None where they are too few.

    Args:
        columns: Of the layers and inputs.
        observed: What the probe told of the rows, none of which the network was fitted to.
        seed: Of the windows.
    """
    rows = columns.gather(observed)
    count = min(len(rows), MOST_VALUES // (2 * len(columns)))
    if count < FEWEST_ROWS:
        return None
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(rows))[:count]
    by_layer = [features(rows.means[chosen, part], rows.variances[chosen, part]) for part in columns.slices]
    roots: dict[int, list[Array]] = {size: [] for size in WINDOW_ROWS}
    for _ in range(CUTS):
        for fitted, drawn in _halves(count, generator):
            whitened = [_whitened(found[fitted], found[drawn]) for found in by_layer]
            for size in WINDOW_ROWS:
                roots[size].append(_draw(whitened, size, WINDOWS // (2 * CUTS), generator))
    together = np.stack([np.concatenate(roots[size]) for size in WINDOW_ROWS])  # sizes, windows, layers
    expected, spread = together.mean(axis=1), np.maximum(together.std(axis=1), LEAST_SPREAD)
    largest = ((together - expected[:, None]) / spread[:, None]).max(axis=2)
    return Calibration(
        rows=count,
        layers=tuple(_fit(found) for found in by_layer),
        sizes=WINDOW_ROWS,
        expected=expected,
        spread=spread,
        rates=np.array(RATES),
        thresholds=np.quantile(largest, 1 - np.array(RATES), axis=1).T,
    )


def _halves(count: int, generator: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Two halves of so many rows, each once as the one and once as the other."""
    one, other = np.array_split(generator.permutation(count), 2)
    yield one, other
    yield other, one


def _whitened(fitted: Features, drawn: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows to draw from about their own mean, and what is to be added."""
    layer = _fit(fitted)
    rows = layer.whiten(drawn)
    mean = rows.mean(axis=0)
    return rows - mean, mean / 2


def _draw(
    whitened: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    size: int,
    windows: int,
    generator: np.random.Generator,
) -> Array:
    """The cube roots of each layer's T2 in so many windows, shape ``(windows, layers)``."""
    rows = np.concatenate([layer for layer, _ in whitened], axis=1)
    off = np.concatenate([layer for _, layer in whitened])
    starts = np.cumsum([0, *(layer.shape[1] for layer, _ in whitened[:-1])])
    found = []
    for start, stop in pairwise([*range(0, windows, WINDOWS_AT_ONCE), windows]):
        times = generator.multinomial(size, np.full(len(rows), 1 / len(rows)), size=stop - start)
        means = times.astype(np.float32) @ rows / np.float32(size) + off
        found.append(size * np.add.reduceat(np.square(means), starts, axis=1, dtype=np.float64))
    return np.asarray(np.cbrt(np.concatenate(found)))


def _fit(found: Features) -> LayerCalibration:
    mean = found.mean(axis=0)
    away = found - mean
    return LayerCalibration(mean, tuple(_whitening(away[:, part]) for part in groups(found.shape[1] // 2)))


def _whitening(away: Array) -> NDArray[np.float32]:
    """The inverse root of the covariance of features about their mean, ``(rows, features)``, shrunk.

    Ledoit and Wolf's shrinkage takes the identity as its target, so it is of the features over their deviations.
    """
    found = away.std(axis=0)
    deviation = np.maximum(found, LEAST_DEVIATION)
    scaled = away / deviation
    count, size = scaled.shape
    covariance = scaled.T @ scaled / count
    square = np.square(covariance).sum()
    covariance += np.diag(1 - np.square(found / deviation))  # what varies less varies so much, by itself
    level = np.trace(covariance) / size
    distance = np.square(covariance).sum() - size * level**2
    noise = (np.square(np.square(scaled).sum(axis=1)).sum() / count - square) / count
    share = min(1.0, noise / distance) if distance > 0 else 1.0
    shrunk = (1 - share) * covariance + share * level * np.eye(size)
    values, vectors = np.linalg.eigh(shrunk)
    values = np.maximum(values, LEAST_DEVIATION**2)
    root = (vectors / np.sqrt(values)) @ vectors.T
    return np.asarray(root / deviation[:, None], dtype=np.float32)
