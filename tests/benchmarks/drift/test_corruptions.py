from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift.corruptions import CORRUPTIONS, LEVELS
from tests.benchmarks.drift.blobs import blobs

PIXELS = np.pad(blobs(50, seed=0)[0][:, None] / 255, ((0, 0), (0, 0), (4, 4), (4, 4))).astype(np.float32)
"""Like digits they stand on black, so that nothing is cut off where they are turned."""


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_first_strength_changes_images_least_and_hardly(name: str) -> None:
    """Detectors differ by the mildest one that they notice."""
    corrupted = [CORRUPTIONS[name].apply(PIXELS, level) for level in LEVELS]

    changes = [float(np.abs(images - PIXELS).mean()) for images in corrupted]

    assert 0 < changes[0] < min(changes[1:])
    assert changes[0] < 0.05


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupted_images_are_images(name: str) -> None:
    """They have the same shape and type, and pixels from 0 to 1."""
    corrupted = CORRUPTIONS[name].apply(PIXELS, 5)

    assert corrupted.shape == PIXELS.shape
    assert corrupted.dtype == np.float32
    assert corrupted.min() >= 0
    assert corrupted.max() <= 1


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_images(name: str) -> None:
    """A study can be run again."""
    first, second = (CORRUPTIONS[name].apply(PIXELS, 3, seed=7) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_a_shift_moves_down_and_to_the_right() -> None:
    """By whole pixels, what is not pushed out stays what it was."""
    shifted = CORRUPTIONS["shift"].apply(PIXELS, 3)  # two pixels

    np.testing.assert_allclose(shifted[:, :, 2:, 2:], PIXELS[:, :, :-2, :-2], atol=1e-6)
    assert not shifted[:, :, :2].any()


def test_less_contrast_keeps_the_mean_of_an_image() -> None:
    """It draws pixels towards their own mean."""
    flat = CORRUPTIONS["contrast"].apply(PIXELS, 5)

    np.testing.assert_allclose(flat.mean(axis=(1, 2, 3)), PIXELS.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert flat.std() < 0.5 * PIXELS.std()
