"""This module measures how much accuracy recalibration brings back that a corruption took.

Of MNIST's test file one half, at random, is what recalibration may see, without labels; on the other the accuracies
are taken. Every outcome is one call of ``folding.recalibration.recalibrate`` with rows drawn anew, proofs included.
Where it refuses, the version before goes on answering, and its accuracy counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

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
    """All recalibrations on one corruption.

    Attributes:
        corruption: Its name; ``none`` for rows as they are.
        level: Its strength, 1 to 5; 0 for rows as they are.
        scored_rows: So many rows the accuracies are of.
        clean: The source version's accuracy on them before they were corrupted.
        before: Its accuracy on the corrupted rows.
        outcomes: Draw by draw.
    """

    model_config = ConfigDict(frozen=True)

    corruption: str
    level: int
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


def cases() -> dict[str, tuple[str, int]]:
    """By name, every corruption and strength, and rows as they are."""
    return {UNCORRUPTED: (UNCORRUPTED, 0)} | {
        f"{name}/{level}": (name, level) for name in CORRUPTIONS for level in LEVELS
    }


def measure(bundle: Bundle, test: Images, corruption: str, level: int, *, draws: int) -> CaseRecord:
    """Recalibrate on rows of one corruption, with every number of rows and every prior.

    Args:
        bundle: The source version; it stays as it is.
        test: Rows that it was not fitted to.
        corruption: A name of ``CORRUPTIONS``, or ``none``.
        level: Its strength.
        draws: How often to draw rows.
    """
    order = np.random.default_rng(SEED).permutation(len(test))
    half = len(test) // 2
    unlabelled, scored = test.take(order[:half]), test.take(order[half:][:SCORED_ROWS])
    source = Classifier(bundle.model_path.read_bytes())
    moved = Images(_corrupted(unlabelled, corruption, level, 1), unlabelled.labels)
    judged = Images(_corrupted(scored, corruption, level, 2), scored.labels)
    before = source.accuracy(judged)
    return CaseRecord(
        corruption=corruption,
        level=level,
        scored_rows=len(scored),
        clean=source.accuracy(scored),
        before=before,
        outcomes=tuple(_outcomes(bundle, moved, judged, before, draws)),
    )


def _corrupted(
    images: Images, corruption: str, level: int, seed: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return (
        images.pixels if corruption == UNCORRUPTED else CORRUPTIONS[corruption].apply(images.pixels, level, seed=seed)
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
