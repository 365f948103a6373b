"""This module measures how often detectors notice that data has moved, all at the same rate of false alarms.

A detector's thresholds, one a size of window, are set on windows of held-out rows that have not moved. Then it looks at
windows of other held-out rows: as they are, which tells the rate of false alarms that it really has; corrupted; and of
data that is another from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.drift.corruptions import CORRUPTIONS, LEVELS
from benchmarks.drift.data import Mnist, Pixels, halves, read_images
from benchmarks.drift.detectors import Detector
from benchmarks.drift.detectors.detector import Score
from benchmarks.drift.grounds import Ground
from benchmarks.drift.thresholds import alarm_rate, threshold
from benchmarks.drift.windows import draw_windows

COMMAND = "detection"
WINDOW_ROWS = (32, 128, 512)
FALSE_ALARMS = 0.05
CALIBRATION_WINDOWS = 1_000
UNMOVED = "not moved"

Thresholds = Mapping[int, float]


class AlarmRecord(BaseModel):
    """How often one detector raised an alarm over one data set.

    Attributes:
        detector: Its name.
        data: The data set's name.
        ground: What its images stand on.
        windows: How many windows of each size it was shown.
        rates: By rows of a window, the share of windows with an alarm.
    """

    model_config = ConfigDict(frozen=True)

    detector: str
    data: str
    ground: str = "black"
    windows: int
    rates: dict[int, float]


def data_sets(mnist: Mnist, fashion: Path, ground: Ground) -> dict[str, Callable[[], Pixels]]:
    """By name, what is looked at; made when it is called for.

    Args:
        mnist: Its live rows are corrupted.
        fashion: The folder of Fashion-MNIST.
        ground: What ``mnist`` was laid on, for the others to stand on too.
    """
    live = mnist.live.pixels
    first, second = halves(mnist.test)
    corrupted = {
        f"{name} {level} ({corruption.strengths[level - 1]:g})": _corrupting(live, name, level)
        for name, corruption in CORRUPTIONS.items()
        for level in LEVELS
    }
    return {
        UNMOVED: lambda: live,
        **corrupted,
        "other writers, first half of the test file": lambda: first.pixels,
        "other writers, second half of the test file": lambda: second.pixels,
        "Fashion-MNIST": lambda: ground.lay(read_images(fashion, "t10k")).pixels,
    }


def case_name(detector: str, data: str, ground: str) -> str:
    """What the results of a detector over a data set are kept by."""
    return f"{detector}: {data}" if ground == "black" else f"{detector}: {data}, {ground}"


def calibrate(detector: Detector, unmoved: Pixels) -> Thresholds:
    """By rows of a window, the threshold that gives the wanted rate of false alarms."""
    score = detector.look_at(unmoved)
    return {
        rows: threshold(_scores(score, len(unmoved), rows, CALIBRATION_WINDOWS, seed=0), FALSE_ALARMS)
        for rows in WINDOW_ROWS
    }


def count_alarms(detector: Detector, thresholds: Thresholds, pixels: Pixels, windows: int) -> dict[int, float]:
    """By rows of a window, the share of windows of a data set that raise an alarm."""
    score = detector.look_at(pixels)
    return {
        rows: alarm_rate(_scores(score, len(pixels), rows, windows, seed=1), limit)
        for rows, limit in thresholds.items()
    }


def _scores(score: Score, num_rows: int, window_rows: int, count: int, *, seed: int) -> Sequence[float]:
    return [score(window) for window in draw_windows(num_rows, window_rows, count, seed=seed)]


def _corrupting(live: Pixels, name: str, level: int) -> Callable[[], Pixels]:
    return lambda: CORRUPTIONS[name].apply(live, level)
