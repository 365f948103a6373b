import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from tests.training.data.files import CODES, alternating, idx_bytes, numbered_images
from training.data.batches import read_all
from training.data.idx import IdxFiles, IdxPair, read_idx
from training.errors import DataError

ARRAYS = st.sampled_from(sorted(CODES)).flatmap(
    lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(max_dims=4, max_side=4))
)
SMALL = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder with MNIST's four files, two of them compressed."""
    for prefix, count, end in (("train", 20, ""), ("t10k", 6, ".gz")):
        for kind, array in (("images-idx3", numbered_images(count)), ("labels-idx1", alternating(count))):
            content = idx_bytes(array)
            (tmp_path / f"{prefix}-{kind}-ubyte{end}").write_bytes(gzip.compress(content) if end else content)
    return tmp_path


@given(array=ARRAYS, compressed=st.booleans())
def test_what_was_written_is_read(
    array: NDArray[Any], compressed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "array"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compressed else content)

    found = read_idx(path)

    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()


def test_the_four_files_of_mnist_are_three_parts_of_images_with_one_channel(mnist: Path) -> None:
    splits = IdxFiles(folder=mnist).load()

    assert torch.equal(read_all(splits.test), torch.from_numpy(numbered_images(6)[:, None]).float())
    assert splits.test.labels.tolist() == alternating(6).tolist()
    assert (len(splits.train), len(splits.validation)) == (18, 2)
    assert splits.labels == ("0", "1")


def test_pairs_of_files_are_parts(mnist: Path) -> None:
    test = IdxPair(values=mnist / "t10k-images-idx3-ubyte.gz", labels=mnist / "t10k-labels-idx1-ubyte.gz")
    train = IdxPair(values=mnist / "train-images-idx3-ubyte", labels=mnist / "train-labels-idx1-ubyte")

    splits = IdxFiles(train=train, validation=test, test=test, names=("even", "odd")).load()

    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [20, 6, 6]
    assert splits.labels == ("even", "odd")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected an IDX file, which begins with 0000, [^\n]+, got nothing"),
        (b"PNG not IDX", "expected an IDX file, which begins with 0000, [^\n]+, got 504e4720"),
        (b"\0\0\x0a\x01\0\0\0\0", "expected an IDX file, [^\n]+, got 00000a01"),
        (idx_bytes(SMALL)[:6], "expected the sizes of 2 axes, the file ends after 6 bytes"),
        (idx_bytes(SMALL)[:-1], r"expected 6 bytes behind its header, values of shape \(2, 3\), got 5"),
        (idx_bytes(SMALL) + b"\0", r"expected 6 bytes behind its header, values of shape \(2, 3\), got 7"),
        (gzip.compress(idx_bytes(SMALL))[:-9], "expected a file that can be read and uncompressed whole: [^\n]+"),
        (b"\x1f\x8b damaged", "expected a file that can be read and uncompressed whole: [^\n]+"),
    ],
    ids=["empty", "another format", "unknown type", "cut header", "cut short", "too long", "cut gzip", "no gzip"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {problem}$"):
        read_idx(path)


def test_as_many_labels_as_images_are_expected(mnist: Path) -> None:
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx_bytes(alternating(19)))

    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte: expected as many rows as [^ ]+ has labels, 19, got 20$"
    ):
        IdxFiles(folder=mnist).load()


def test_a_label_without_a_name_is_refused_by_row(mnist: Path) -> None:
    labels = alternating(20)
    labels[6] = 9
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))

    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: row 7: expected a label of 0 to 1, got 9$"):
        IdxFiles(folder=mnist, names=("even", "odd")).load()


def test_a_missing_file_is_refused_with_the_nearest_name(mnist: Path) -> None:
    (mnist / "t10k-labels-idx1-ubyte.gz").rename(mnist / "t10k-labels-idx1-ubyt")

    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte: expected a file that exists; did you mean t10k-labels"
    ):
        IdxFiles(folder=mnist).load()
