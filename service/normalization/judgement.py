"""This module says whether what a model's layers have seen is further off than chance would have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.calibration import Calibration
from models.observed_rows import Columns
from models.stacked_moments import StackedMoments


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the scores of some rows say.

    Attributes:
        scores: Of each layer, in the manifest's order, then of each input that has atoms.
        threshold: What the largest of them is beyond in no more windows of unmoved data than the alarm rate.
        num_inputs: So many of the scores are of inputs.
    """

    scores: Sequence[float]
    threshold: float
    num_inputs: int = 0

    @property
    def score(self) -> float:
        """Of the model: that of the layer or input that is furthest off."""
        return max(self.scores)

    @property
    def alarm(self) -> bool:
        """Whether it is beyond the threshold."""
        return self.score > self.threshold

    @property
    def first_layer(self) -> int | None:
        """Which layer is the first one beyond the threshold, in the order in which data meets them; None if none is."""
        layers = self.scores[: len(self.scores) - self.num_inputs]
        return next((number for number, score in enumerate(layers) if score > self.threshold), None)

    @property
    def moved_inputs(self) -> list[int]:
        """Which of the inputs that have atoms are beyond the threshold."""
        inputs = self.scores[len(self.scores) - self.num_inputs :]
        return [number for number, score in enumerate(inputs) if score > self.threshold]


@dataclass(frozen=True, slots=True)
class Judge:
    """What judges the rows of one model.

    Attributes:
        columns: Of its layers and inputs.
        calibration: How scores of unmoved data are distributed; None where that is not known, and nothing is judged.
        alarm_rate: Share of windows of unmoved data that are to alarm.
    """

    columns: Columns
    calibration: Calibration | None
    alarm_rate: float

    def window_rows(self, wanted: int) -> int:
        """So many rows a window has, or fewer where it could not be judged otherwise."""
        return wanted if self.calibration is None else min(wanted, self.calibration.most_rows)

    def judge(self, moments: StackedMoments) -> Judgement | None:
        """What is to be said of some rows; None where there are too few or too many, or there is no calibration."""
        if self.calibration is None or not self.calibration.covers(moments.rows):
            return None
        scores = self.calibration.scores(moments, self.columns)
        return Judgement(
            scores.tolist(), self.calibration.threshold(moments.rows, self.alarm_rate), self.columns.num_inputs
        )
