from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift.idx import read_idx
from tests.benchmarks.drift.blobs import idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Shape and numbers are those of the file."""
    (tmp_path / "images").write_bytes(idx(ARRAY))

    found = read_idx(tmp_path / "images")

    np.testing.assert_array_equal(found, ARRAY)


def test_a_gzipped_file_is_found_by_the_name_without_its_ending(tmp_path: Path) -> None:
    """Published files are gzipped, unpacked ones are not; both have one name here."""
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(ARRAY)))

    found = read_idx(tmp_path / "images")

    np.testing.assert_array_equal(found, ARRAY)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Who forgot the folder learns which file was looked for."""
    with pytest.raises(FileNotFoundError, match=r"images: expected an IDX file here"):
        read_idx(tmp_path / "images")


@pytest.mark.parametrize("content", [b"", b"<html>", bytes([0, 0, 13, 1, 0, 0, 0, 1, 0]), bytes([0, 0, 8, 3, 0, 0])])
def test_what_is_no_idx_file_of_bytes_is_refused(tmp_path: Path, content: bytes) -> None:
    """A page of a server that has no such file is not taken for images."""
    (tmp_path / "images").write_bytes(content)

    with pytest.raises(ValueError, match="expected an IDX file of unsigned bytes"):
        read_idx(tmp_path / "images")


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """The header says how much there has to be."""
    (tmp_path / "images").write_bytes(idx(ARRAY)[:-1])

    with pytest.raises(ValueError, match=r"expected \[2, 3, 4\] bytes, as it says, got 23"):
        read_idx(tmp_path / "images")
