"""This module is the maximum mean discrepancy: how far two samples are apart in the space of a kernel.

With ``k(x, y) = exp(-|x - y|^2 / m)``, where ``m`` is the median of the reference's squared distances, the score is

    MMD^2 = mean k(y, y') - 2 mean k(x, y) + mean k(x, x')      over different rows of the window y and reference x

This is alibi-detect's ``MMDDrift`` with its kernel, but for two things: the median is the reference's alone, so that
scores of different windows can be compared, and the threshold is calibrated rather than found by permutations.

Sources: Gretton et al. (2012), "A kernel two-sample test", lemma 6; alibi-detect, ``MMDDrift``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.data import Indices, Pixels
from benchmarks.drift.detectors.detector import Features, Score

Vectors = NDArray[np.float32]

_CHUNK_ROWS = 1_000
"""So many rows meet the whole reference at once, that the distances find room."""


class MeanDiscrepancy:
    """The squared maximum mean discrepancy, without bias.

    Args:
        features: Of which images are compared.
        reference: Images that have not moved.
    """

    def __init__(self, features: Features, reference: Pixels) -> None:
        self._features = features
        self._reference = features(reference)
        distances = _squared_distances(self._reference, self._reference)
        self._median = np.float32(np.median(distances[np.triu_indices(len(distances), 1)]))
        self._within = _mean_of_different(np.exp(-distances / self._median))

    def look_at(self, pixels: Pixels) -> Score:
        """See ``Detector``; what is computed is each row's mean kernel with the reference."""
        values = self._features(pixels)
        starts = range(0, len(values), _CHUNK_ROWS)
        across = np.concatenate([self._with_reference(values[start : start + _CHUNK_ROWS]) for start in starts])

        def score(window: Indices) -> float:
            rows = values[window]
            within = _mean_of_different(np.exp(-_squared_distances(rows, rows) / self._median))
            return within - 2 * float(across[window].mean()) + self._within

        return score

    def _with_reference(self, values: Vectors) -> NDArray[np.float64]:
        kernel = np.exp(-_squared_distances(values, self._reference) / self._median)
        return np.asarray(kernel.mean(axis=1, dtype=np.float64))


def _squared_distances(left: Vectors, right: Vectors) -> Vectors:
    norms = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    return np.asarray(np.maximum(norms - 2 * left @ right.T, 0))


def _mean_of_different(kernel: Vectors) -> float:
    """The mean over pairs of different rows."""
    rows = len(kernel)
    return float((kernel.sum(dtype=np.float64) - np.trace(kernel, dtype=np.float64)) / (rows * (rows - 1)))
