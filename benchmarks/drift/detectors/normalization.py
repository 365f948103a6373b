"""This module is the project's own detector: what every normalization layer sees, against what it saw in training.

It is scored as the service scores a window (``models/calibration.py``): the score of a window is that of the layer that
is furthest off, or of the input where its atoms (``models/atoms.py``) are further. Its threshold is set here as those
of the others are, so that all are compared at one rate.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.drift.data import Indices, Pixels
from benchmarks.drift.detectors.detector import Score
from folding.calibration import calibrate
from folding.observing import observe
from models.bundle import MODEL_FILE, PROBE_FILE, Bundle
from models.moments import Array
from models.observed_rows import ObservedRows
from models.stacked_moments import StackedMoments


class NormalizationLayers:
    """The largest score of any normalization layer, or of the input.

    Args:
        bundle: The network; it has normalization layers, and a probe of them.
        reference: Images that have not moved, enough to calibrate by.
        layers_alone: Whether the input is left out of the score.

    Attributes:
        calibration: What they gave.
    """

    def __init__(self, bundle: Bundle, reference: Pixels, *, layers_alone: bool = False) -> None:
        columns = bundle.columns()
        assert columns is not None, "the network has normalization layers"
        self._columns = columns
        self._scored = len(columns.slices) - (columns.num_inputs if layers_alone else 0)
        self._model, self._probe = ((bundle.path / name).read_bytes() for name in (MODEL_FILE, PROBE_FILE))
        calibration = calibrate(columns, [self._observe(reference)], seed=0)
        assert calibration is not None, "the reference has rows enough"
        self.calibration = calibration

    def look_at(self, pixels: Pixels) -> Score:
        """See ``Detector``; what is computed is what the layers see of each row."""
        scores = self.scores_of(pixels)
        return lambda window: float(scores(window)[: self._scored].max())

    def scores_of(self, pixels: Pixels) -> Callable[[Indices], Array]:
        """As ``look_at``, but with a score for each layer, in the order in which data meets them, then the input's."""
        rows = self._observe(pixels)

        def scores(window: Indices) -> Array:
            part = ObservedRows(rows.means[window], rows.variances[window], rows.values, 0)
            return self.calibration.scores(StackedMoments.of(part), self._columns)

        return scores

    def _observe(self, pixels: Pixels) -> ObservedRows:
        return self._columns.gather(list(observe(self._model, self._probe, self._columns, [pixels])))
