"""This module is the Kolmogorov-Smirnov detector: every feature on its own, and the one that moved most decides.

The two-sample statistic of a feature is the largest distance between the distributions of window and reference,

    D = sup_x |F_window(x) - F_reference(x)|

Its p-value falls with ``D`` and depends on nothing but the numbers of rows, which are the same for all features. So
alibi-detect's ``KSDrift``, which raises an alarm where the least p-value is below 0.05 over the number of features
(Bonferroni), raises it where the largest ``D`` is above a bound: the score is that ``D``, and the bound is calibrated.

Sources: Rabanser, Günnemann & Lipton (2019), "Failing loudly"; alibi-detect, ``KSDrift``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.data import Indices, Pixels
from benchmarks.drift.detectors.detector import Features, Score


class KolmogorovSmirnov:
    """The largest two-sample statistic of any feature.

    Args:
        features: Of which images are compared.
        reference: Images that have not moved.
    """

    def __init__(self, features: Features, reference: Pixels) -> None:
        self._features = features
        self._reference = np.sort(features(reference), axis=0).T

    def look_at(self, pixels: Pixels) -> Score:
        """See ``Detector``; what is computed is where each value falls among the reference's."""
        values = self._features(pixels).T
        below, upto = self._ranks(values, "left"), self._ranks(values, "right")

        def score(window: Indices) -> float:
            steps = np.arange(len(window) + 1, dtype=np.float32) / len(window)
            # at a tie only its last step is as high as F_window, and only its first as low as it was before: the
            # others are nearer to the reference, so that the maximum is not theirs
            rises = steps[1:] - self._shares(upto, window)
            falls = self._shares(below, window) - steps[:-1]
            return float(max(rises.max(), falls.max()))

        return score

    def _ranks(self, values: NDArray[np.float32], side: str) -> NDArray[np.uint16]:
        """How many of the reference's values are below each one, or not above it; shape ``(features, rows)``."""
        assert self._reference.shape[1] <= np.iinfo(np.uint16).max
        pairs = zip(self._reference, values, strict=True)
        return np.stack([np.searchsorted(known, found, side) for known, found in pairs]).astype(np.uint16)  # type: ignore[call-overload]

    def _shares(self, ranks: NDArray[np.uint16], window: Indices) -> NDArray[np.float32]:
        return np.asarray(np.sort(ranks[:, window], axis=1).astype(np.float32) / self._reference.shape[1])
