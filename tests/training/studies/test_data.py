import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import DataError
from training.studies import data as study_data
from training.studies.data import load_study_data


def write_four_files(folder: Path, *, train_labels: int = 3) -> Path:
    """Three images of 2 by 2 to fit to, two to test on; their labels are compressed."""
    for part, count, labelled in (("train", 3, train_labels), ("t10k", 2, 2)):
        images = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 2, 2) + bytes([0, 51, 102, 255] * count)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, labelled) + bytes(range(labelled))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


def test_data_of_mnist_s_form_is_read_from_its_four_files(tmp_path: Path) -> None:
    data = load_study_data(str(write_four_files(tmp_path)))

    torch.testing.assert_close(data.train.values, torch.tensor([[[[0, 0.2], [0.4, 1]]]]).repeat(3, 1, 1, 1))
    assert data.train.labels.tolist() == [0, 1, 2]
    assert len(data.test) == 2


def test_only_mnist_is_called_so_which_its_rows_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(write_four_files(tmp_path))
    digest = hashlib.sha256()
    for rows in (3, 2):
        digest.update(bytes([0, 51, 102, 255] * rows) + np.arange(rows, dtype=np.int64).tobytes())

    before = load_study_data(folder).name
    monkeypatch.setattr(study_data, "MNIST_SHA256", digest.hexdigest())  # as if these rows were MNIST's

    assert (before, load_study_data(folder).name) == ("other images", "MNIST")


def test_images_and_labels_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = write_four_files(tmp_path, train_labels=2)

    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: expected as many rows as .* has labels, 2, got 3"):
        load_study_data(str(folder))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load_study_data(str(tmp_path))


def test_pixels_of_digits_are_from_0_to_1() -> None:
    data = load_study_data("digits")

    assert (data.in_features, len(data.train), len(data.test)) == (64, 1200, 300)
    assert (float(data.train.values.min()), float(data.train.values.max())) == (0, 1)


def test_binary_pixels_are_0_or_1() -> None:
    data = load_study_data("digits")

    binary = data.binary()

    assert set(binary.test.values.flatten().tolist()) == {0, 1}
    assert torch.equal(binary.test.values == 1, data.test.values > 0.5)


def test_standardized_training_pixels_have_mean_0_and_variance_1_and_test_pixels_the_same_map() -> None:
    data = load_study_data("digits")

    standardized = data.standardized()

    variance, mean = torch.var_mean(standardized.train.values)
    assert abs(float(mean)) < 1e-5
    assert float(variance) == pytest.approx(1, abs=1e-5)
    assert float(standardized.test.values.min()) == float(standardized.train.values.min())  # both of a black pixel
