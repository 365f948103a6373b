"""This module draws windows: rows that are looked at together, as indices into a data set."""

from __future__ import annotations

import numpy as np

from benchmarks.drift.data import SEED, Indices


def draw_windows(num_rows: int, window_rows: int, count: int, *, seed: int) -> list[Indices]:
    """Windows of rows at random: within one no row comes twice, among several it may.

    Args:
        num_rows: Of the data set.
        window_rows: Of each window.
        count: How many windows.
        seed: The same gives the same windows, so that detectors see the same ones.

    Raises:
        ValueError: If a window is larger than the data set.
    """
    if window_rows > num_rows:
        raise ValueError(f"window_rows: expected at most {num_rows}, all there are, got {window_rows}")
    random = np.random.default_rng([SEED, window_rows, seed])
    return [random.choice(num_rows, window_rows, replace=False) for _ in range(count)]
