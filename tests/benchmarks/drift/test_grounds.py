from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.drift.data import Images, load_mnist
from benchmarks.drift.grounds import GROUNDS
from tests.benchmarks.drift.blobs import write_blobs

BLACK_AND_WHITE = Images(
    np.stack([np.zeros((1, 50, 50)), np.ones((1, 50, 50))]).astype(np.float32), np.arange(2, dtype=np.int64)
)


def test_on_black_images_stay_as_they_are() -> None:
    """That is MNIST as published."""
    found = GROUNDS["black"].lay(BLACK_AND_WHITE)

    np.testing.assert_array_equal(found.pixels, BLACK_AND_WHITE.pixels)


def test_a_grainy_ground_has_hardly_two_pixels_alike() -> None:
    """No value is that of many pixels, so that none is new."""
    dark, bright = GROUNDS["grainy"].lay(BLACK_AND_WHITE).pixels

    # of 2,500 pixels a mean is off by 0.001
    np.testing.assert_allclose([dark.mean(), bright.mean()], [0.3, 0.8], atol=0.005)
    np.testing.assert_allclose([dark.std(), bright.std()], 0.05, atol=0.005)
    assert len(np.unique(dark)) > 2_000


def test_every_part_has_grain_of_its_own(tmp_path: Path) -> None:
    """A threshold is not set on the grain that is looked at."""
    data = load_mnist(write_blobs(tmp_path / "blobs", train_rows=400, test_rows=20))

    laid = GROUNDS["grainy"].lay_all(data)

    grains = [
        (part.pixels - 0.3 - 0.5 * plain.pixels)[:5]
        for part, plain in ((laid.live, data.live), (laid.calibration, data.calibration))
    ]
    assert np.abs(grains[0] - grains[1]).mean() > 0.02
    np.testing.assert_array_equal(laid.live.labels, data.live.labels)
