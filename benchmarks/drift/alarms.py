"""This module measures what the service's own alarms are worth: how often they are false, and which layer they name.

Unlike in the comparison of detectors nothing is set on windows here. The thresholds are those of a calibration, as a
bundle has them, at the rates that it states. A calibration is of held-out rows, which might have been others; so there
are several, each of as many rows as the reference, and windows of rows that none of them has seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from benchmarks.drift.data import Mnist, Pixels
from benchmarks.drift.detection import WINDOW_ROWS
from benchmarks.drift.detectors.normalization import NormalizationLayers
from benchmarks.drift.windows import draw_windows
from models.bundle import Bundle

COMMAND = "alarms"
CASE = "alarms"
RATES = (0.05, 0.01, 0.001)
CALIBRATIONS = 5
NAMING_RATE = 0.01
NO_LAYER = "none"


class AlarmsRecord(BaseModel):
    """What the alarms of one network are worth.

    Attributes:
        windows: How many windows of each size each calibration was shown.
        calibration_rows: Held-out rows behind each.
        false_alarms: By rows of a window and stated rate, the share of windows that alarmed, a calibration each.
        first_layers: By data set and then layer, the share of windows of ``naming_rows`` in which it was the first one;
            the input comes last, for where no layer alarmed.
        naming_rows: Rows of those windows.
    """

    model_config = ConfigDict(frozen=True)

    windows: int
    calibration_rows: int
    false_alarms: dict[int, dict[float, list[float]]]
    first_layers: dict[str, dict[str, float]]
    naming_rows: int


def measure(bundle: Bundle, data: Mnist, moved: Mapping[str, Pixels], *, windows: int) -> AlarmsRecord:
    """Calibrate several times, and look at windows of the live rows, as they are and moved.

    Args:
        bundle: The network.
        data: On what it was fitted to.
        moved: By name, live rows that moved.
        windows: How many of each size.
    """
    detectors = [NormalizationLayers(bundle, rows) for rows in _references(data)]
    return AlarmsRecord(
        windows=windows,
        calibration_rows=detectors[0].calibration.rows,
        false_alarms=_false_alarms(detectors, data.live.pixels, windows),
        first_layers=_first_layers(detectors[0], bundle, moved),
        naming_rows=NAMING_ROWS,
    )


NAMING_ROWS = 128
NAMING_WINDOWS = 200


def _references(data: Mnist) -> Sequence[Pixels]:
    """The reference, and as many rows each of those that thresholds are set on elsewhere."""
    count = len(data.reference)
    others = data.calibration.pixels
    assert len(others) >= (CALIBRATIONS - 1) * count
    return [data.reference.pixels, *(others[start : start + count] for start in range(0, len(others), count))][
        :CALIBRATIONS
    ]


def _false_alarms(
    detectors: Sequence[NormalizationLayers], live: Pixels, windows: int
) -> dict[int, dict[float, list[float]]]:
    found: dict[int, dict[float, list[float]]] = {rows: {rate: [] for rate in RATES} for rows in WINDOW_ROWS}
    for detector in detectors:
        score = detector.look_at(live)
        for rows in WINDOW_ROWS:
            scores = np.array([score(window) for window in draw_windows(len(live), rows, windows, seed=2)])
            for rate in RATES:
                share = float((scores > detector.calibration.threshold(rows, rate)).mean())
                found[rows][rate].append(share)
    return found


def _first_layers(
    detector: NormalizationLayers, bundle: Bundle, moved: Mapping[str, Pixels]
) -> dict[str, dict[str, float]]:
    names = [*(layer.name for layer in bundle.manifest.layers), *(one.input for one in bundle.atoms())]
    threshold = detector.calibration.threshold(NAMING_ROWS, NAMING_RATE)
    found = {}
    for name, pixels in moved.items():
        layers = detector.scores_of(pixels)
        first: Counter[str] = Counter()
        for window in draw_windows(len(pixels), NAMING_ROWS, NAMING_WINDOWS, seed=3):
            beyond = np.flatnonzero(layers(window) > threshold)
            first[names[beyond[0]] if beyond.size else NO_LAYER] += 1
        found[name] = {layer: first[layer] / NAMING_WINDOWS for layer in (*names, NO_LAYER)}
    return found
