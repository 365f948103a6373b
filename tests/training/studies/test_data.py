import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import StudyError
from training.studies.data import load_study_data, read_idx

WHOLE = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("gzipped", [False, True])
def test_an_idx_file_is_read_plain_or_gzipped(tmp_path: Path, gzipped: bool) -> None:
    path = tmp_path / "some"
    (tmp_path / "some.gz" if gzipped else path).write_bytes(gzip.compress(WHOLE) if gzipped else WHOLE)

    array = read_idx(path)

    np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("content", [b"", WHOLE[:-1], WHOLE + b"7", b"\x00\x00\x0d" + WHOLE[3:], WHOLE[:6]])
def test_what_is_no_whole_idx_file_of_bytes_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some"
    path.write_bytes(content)

    with pytest.raises(StudyError, match=f"{path}: expected"):
        read_idx(path)


def test_a_gzipped_file_that_is_cut_off_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "some.gz").write_bytes(gzip.compress(WHOLE)[:-10])

    with pytest.raises(StudyError, match=f"{tmp_path / 'some'}: expected"):
        read_idx(tmp_path / "some")


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
