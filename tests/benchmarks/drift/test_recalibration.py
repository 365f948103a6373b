from __future__ import annotations

import numpy as np

from benchmarks.drift.data import Images
from benchmarks.drift.recalibration import CASES, Case
from tests.benchmarks.drift.blobs import blobs

PIXELS, LABELS = blobs(60, seed=0)
IMAGES = Images((PIXELS[:, None] / 255).astype(np.float32), LABELS.astype(np.int64))


def test_no_two_cases_have_one_name() -> None:
    """Results are kept by it."""
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names)


def test_rows_as_they_are_stay_as_they_are() -> None:
    """What recalibration costs where nothing has moved is measured too."""
    case = Case("none", 0)

    found = case.corrupt(case.choose(IMAGES), seed=0)

    np.testing.assert_array_equal(found.pixels, IMAGES.pixels)


def test_rows_of_two_classes_are_all_rows_of_these() -> None:
    """The others are left out, labels stay with their images."""
    found = Case("none", 0, classes=2).choose(IMAGES)

    assert set(found.labels) == {0, 1}
    assert len(found) == (LABELS < 2).sum()
    np.testing.assert_array_equal(found.pixels[:, 0], IMAGES.pixels[LABELS < 2, 0])


def test_rows_to_recalibrate_on_and_rows_to_judge_have_noise_of_their_own() -> None:
    """Otherwise what was learned of one noise could help with itself."""
    case = Case("noise", 3)

    first, second = case.corrupt(IMAGES, seed=1), case.corrupt(IMAGES, seed=2)

    assert not np.array_equal(first.pixels, second.pixels)
