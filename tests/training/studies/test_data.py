import gzip
import struct
from pathlib import Path

import pytest
import torch

from training.errors import DataError
from training.studies.data import load_study_data


def test_mnist_is_read_from_its_four_files(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("t10k", 2)):
        images = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 2, 2) + bytes([0, 51, 102, 255] * count)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(range(count))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))

    data = load_study_data(str(tmp_path))

    torch.testing.assert_close(data.train.values, torch.tensor([[[[0, 0.2], [0.4, 1]]]]).repeat(3, 1, 1, 1))
    assert data.train.labels.tolist() == [0, 1, 2]
    assert len(data.test) == 2


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
