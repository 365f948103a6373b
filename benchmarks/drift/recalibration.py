"""This module measures how much accuracy recalibration brings back that a corruption took.

Of MNIST's test file one half, at random, is what recalibration may see, without labels; on the other the accuracies
are taken. Every outcome is one call of ``folding.recalibration.recalibrate`` with rows drawn anew, proofs included.
Where it refuses, the version before goes on answering, and its accuracy counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from benchmarks.drift.corruptions import CORRUPTIONS, LEVELS
from benchmarks.drift.data import SEED, Images
from benchmarks.drift.graphs import Classifier
from folding.errors import RecalibrationError
from folding.recalibration import FEWEST_ROWS, recalibrate
from models.bundle import Bundle

COMMAND = "recalibration"
ROWS = (8, 32, 128, 512)
PRIOR_ROWS = (0, 16)
"""No prior, which needs ``FEWEST_ROWS``; and the 16 rows that Schneider et al. (2020) found good for small batches."""

SETTINGS = tuple((rows, prior) for rows in ROWS for prior in reversed(PRIOR_ROWS) if prior or rows >= FEWEST_ROWS)
SCORED_ROWS = 2_000
UNCORRUPTED = "none"


@dataclass(frozen=True, slots=True)
class Case:
    """What has become of the data.

    Attributes:
        corruption: A name of ``CORRUPTIONS``; ``none`` for rows as they are.
        level: Its strength, 1 to 5; 0 for rows as they are.
        classes: Of so many classes are the rows that are recalibrated on, the others left out; None for all. The rows
            that are judged are always of all classes.
    """

    corruption: str
    level: int
    classes: int | None = None

    @property
    def name(self) -> str:
        """As it is called in results."""
        classes = f", {self.classes} classes" if self.classes else ""
        return f"{self.corruption}/{self.level}{classes}"

    def corrupt(self, images: Images, seed: int) -> Images:
        """The images as they are now."""
        if self.corruption == UNCORRUPTED:
            return images
        return Images(CORRUPTIONS[self.corruption].apply(images.pixels, self.level, seed=seed), images.labels)

    def choose(self, images: Images) -> Images:
        """Those of the classes that there are rows of."""
        classes = len(images) if self.classes is None else self.classes
        return images.take(np.flatnonzero(images.labels < classes))


CASES = (
    Case(UNCORRUPTED, 0),
    *(Case(name, level) for name in CORRUPTIONS for level in LEVELS),
    *(Case(*moved, classes) for moved in ((UNCORRUPTED, 0), ("noise", 3)) for classes in (5, 2)),
)


class Outcome(BaseModel):
    """One recalibration.

    Attributes:
        rows: So many unlabelled rows it was given.
        prior_rows: So many rows the source statistics counted as.
        accuracy: Of what answers then, on the scored rows.
        refused: Why nothing was made, if so.
        seconds: What it took, proofs included.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    prior_rows: int
    accuracy: float
    refused: str | None
    seconds: float


class CaseRecord(BaseModel):
    """All recalibrations of one case.

    Attributes:
        corruption: Of the case.
        level: Of the case.
        classes: Of the case.
        scored_rows: So many rows the accuracies are of.
        clean: The source version's accuracy on them before they were corrupted.
        before: Its accuracy on the corrupted rows.
        outcomes: Draw by draw.
    """

    model_config = ConfigDict(frozen=True)

    corruption: str
    level: int
    classes: int | None = None
    scored_rows: int
    clean: float
    before: float
    outcomes: tuple[Outcome, ...]

    @property
    def lost(self) -> float:
        """What the corruption took of the accuracy."""
        return self.clean - self.before

    def after(self, rows: int, prior_rows: int) -> list[float]:
        """The accuracy after recalibration, draw by draw."""
        return [found.accuracy for found in self.outcomes if (found.rows, found.prior_rows) == (rows, prior_rows)]


def measure(bundle: Bundle, test: Images, case: Case, *, draws: int) -> CaseRecord:
    """Recalibrate on rows of one case, with every number of rows and every prior.

    Args:
        bundle: The source version; it stays as it is.
        test: Rows that it was not fitted to.
        case: What becomes of them.
        draws: How often to draw rows.
    """
    order = np.random.default_rng(SEED).permutation(len(test))
    half = len(test) // 2
    unlabelled, scored = test.take(order[:half]), test.take(order[half:][:SCORED_ROWS])
    source = Classifier(bundle.model_path.read_bytes())
    moved, judged = case.corrupt(case.choose(unlabelled), seed=1), case.corrupt(scored, seed=2)
    before = source.accuracy(judged)
    return CaseRecord(
        corruption=case.corruption,
        level=case.level,
        classes=case.classes,
        scored_rows=len(scored),
        clean=source.accuracy(scored),
        before=before,
        outcomes=tuple(_outcomes(bundle, moved, judged, before, draws)),
    )


def _outcomes(bundle: Bundle, moved: Images, judged: Images, before: float, draws: int) -> Iterator[Outcome]:
    name = bundle.manifest.inputs[0].name
    for draw in range(draws):
        order = np.random.default_rng([SEED, draw]).permutation(len(moved))  # fewer rows are the first of the more
        for rows, prior_rows in SETTINGS:
            accuracy, refused = before, None
            started = time.perf_counter()
            try:
                made = recalibrate(bundle, {name: moved.pixels[order[:rows]]}, prior_rows=prior_rows)
            except RecalibrationError as error:
                refused = str(error)
            seconds = time.perf_counter() - started
            if refused is None:
                accuracy = Classifier(made.draft.model).accuracy(judged)
            yield Outcome(
                rows=rows, prior_rows=prior_rows, accuracy=accuracy, refused=refused, seconds=round(seconds, 3)
            )
