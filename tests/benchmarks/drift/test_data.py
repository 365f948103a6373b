from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift.data import SHARES, halves, load_mnist
from tests.benchmarks.drift.blobs import blobs, idx, write_blobs


def test_the_parts_are_all_of_the_training_file_and_share_no_row(tmp_path: Path) -> None:
    """Nothing that a threshold is set on, or that is looked at, was fitted to."""
    folder = write_blobs(tmp_path / "blobs", train_rows=400, test_rows=20)

    data = load_mnist(folder)

    parts = np.concatenate([getattr(data, name).pixels for name in SHARES])
    assert len(np.unique(parts, axis=0)) == 400
    assert len(data.train) == 260
    assert len(data.live) == 60


def test_pixels_go_from_0_to_1_and_stay_with_their_labels(tmp_path: Path) -> None:
    """The test file is in its order, as it was published."""
    folder = write_blobs(tmp_path / "blobs", train_rows=400, test_rows=20)
    pixels, labels = blobs(20, seed=1)

    data = load_mnist(folder)

    np.testing.assert_allclose(data.test.pixels[:, 0] * 255, pixels, rtol=1e-6)  # float32 keeps seven digits
    np.testing.assert_array_equal(data.test.labels, labels)


def test_halves_keep_the_order(tmp_path: Path) -> None:
    """They are by different writers."""
    test = load_mnist(write_blobs(tmp_path / "blobs", train_rows=400, test_rows=20)).test

    first, second = halves(test)

    np.testing.assert_array_equal(np.concatenate([first.labels, second.labels]), test.labels)
    assert len(first) == len(second)


def test_images_without_a_label_each_are_refused(tmp_path: Path) -> None:
    """Files of two data sets in one folder are a mistake."""
    folder = write_blobs(tmp_path / "blobs", train_rows=400, test_rows=20)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.uint8)))

    with pytest.raises(ValueError, match=r"got \[400, 8, 8\] and \[7\]"):
        load_mnist(folder)
