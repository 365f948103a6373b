from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.data.files import alternating, numbered_images
from training.data.batches import read_all
from training.data.npz import NpzFile
from training.errors import DataError

VALUES = np.arange(40, dtype=np.float64).reshape(10, 4)


def npz(tmp_path: Path, **arrays: Any) -> Path:  # noqa: ANN401
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def with_value(row: int, value: float) -> np.ndarray[Any, Any]:
    changed = VALUES.copy()
    changed[row, 2] = value
    return changed


def test_values_and_labels_are_cut_into_three_parts_that_are_all_rows(tmp_path: Path) -> None:
    file = npz(tmp_path, values=VALUES, labels=alternating(10))

    splits = NpzFile(file=file).load()

    rows = torch.cat([read_all(part) for part in (splits.train, splits.validation, splits.test)])
    assert rows.dtype == torch.float32
    assert sorted(rows.tolist()) == VALUES.tolist()


def test_parts_that_the_file_has_stay_as_they_are(tmp_path: Path) -> None:
    parts = {
        f"{part}_{kind}": array
        for part in ("train", "validation", "test")
        for kind, array in (("values", VALUES), ("labels", alternating(10)))
    }

    splits = NpzFile(file=npz(tmp_path, **parts)).load()

    assert all(read_all(part).tolist() == VALUES.tolist() for part in (splits.train, splits.validation, splits.test))


def test_arrays_of_other_names_are_parts_where_the_recipe_says_so(tmp_path: Path) -> None:
    file = npz(tmp_path, x_train=VALUES, y_train=alternating(10), x_test=VALUES[:4], y_test=alternating(4))

    splits = NpzFile(file=file, arrays={"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}).load()

    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8, 2, 4)


@pytest.mark.parametrize(
    ("channels", "shape", "expected"),
    [("none", (3, 4), (1, 3, 4)), ("last", (3, 4, 2), (2, 3, 4)), ("first", (2, 3, 4), (2, 3, 4))],
)
def test_channels_come_first(tmp_path: Path, channels: Any, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:  # noqa: ANN401
    values = np.arange(10 * np.prod(shape), dtype=np.uint8).reshape(10, *shape)

    splits = NpzFile(file=npz(tmp_path, values=values, labels=alternating(10)), channels=channels).load()

    assert read_all(splits.train).shape[1:] == expected


def test_bytes_are_read_as_numbers_up_to_255(tmp_path: Path) -> None:
    values = numbered_images(30)
    file = npz(tmp_path, values=values, labels=alternating(30))

    rows = read_all(NpzFile(file=file, channels="none").load().train)

    assert (rows.dtype, float(rows.max())) == (torch.float32, 250.0)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"values": VALUES}, "expected an array 'labels', got values"),
        (
            {"values": VALUES, "label": alternating(10)},
            "expected an array 'labels', got values, label; did you mean label",
        ),
        (
            {"train_values": VALUES, "train_labels": alternating(10), "test_values": VALUES},
            "expected an array 'test_labels'",
        ),
        (
            {"values": VALUES, "labels": alternating(9)},
            "values: expected as many rows as .*labels has labels, 9, got 10",
        ),
        (
            {"values": with_value(3, np.nan), "labels": alternating(10)},
            "values: row 4: expected numbers that are finite in float32, got nan",
        ),
        (
            {"values": with_value(0, np.inf), "labels": alternating(10)},
            "values: row 1: expected numbers that are finite in float32, got inf",
        ),
        (
            {"values": with_value(9, 1e300), "labels": alternating(10)},
            r"values: row 10: expected numbers that are finite in float32, got 1e\+300",
        ),
        ({"values": VALUES.astype(np.str_), "labels": alternating(10)}, "values: expected numbers, got <U"),
        (
            {"values": np.array([[1], None], dtype=object), "labels": alternating(2)},
            "values: expected an array of numbers or text that can be read",
        ),
        (
            {"values": VALUES[:, 0], "labels": alternating(10)},
            r"values: expected rows of values, shape \(rows, ...\), got shape \(10,\)",
        ),
        (
            {"values": VALUES, "labels": alternating(10)[:, None].repeat(2, 1)},
            r"labels: expected one label a row, shape \(rows,\), got shape \(10, 2\)",
        ),
        (
            {"values": VALUES, "labels": np.arange(10) / 4},
            "labels: row 2: expected a label, text or a whole number, got 0.25",
        ),
        (
            {"values": VALUES, "labels": np.array([0.0, 1.0, np.inf, *range(7)])},
            "labels: row 3: expected a label, text or a whole number, got inf",
        ),
        (
            {"values": VALUES, "labels": np.array([0.0, 1.0, 1e19, *range(7)])},
            r"labels: row 3: expected a label, text or a whole number, got 1e\+19",
        ),
        (
            {"values": VALUES, "labels": np.array(1)},
            r"labels: expected one label a row, shape \(rows,\), got shape \(\)",
        ),
        ({"values": VALUES[:0], "labels": alternating(0)}, "expected rows, got none"),
        (
            {"values": VALUES, "labels": np.zeros(10, int)},
            "expected rows of at least two classes to train on, got only '0'",
        ),
        (
            {"values": VALUES, "labels": np.array([0] * 9 + [1])},
            "class '1': expected at least 3 rows, one each for train, validation, test, got 1",
        ),
    ],
)
def test_bad_arrays_are_refused_by_name_and_row(tmp_path: Path, arrays: dict[str, Any], problem: str) -> None:
    file = npz(tmp_path, **arrays)

    with pytest.raises(DataError, match=rf"data\.npz: {problem}"):
        NpzFile(file=file).load()


def test_a_class_that_was_not_trained_on_is_refused(tmp_path: Path) -> None:
    file = npz(
        tmp_path, train_values=VALUES, train_labels=alternating(10), test_values=VALUES, test_labels=alternating(10, 3)
    )

    with pytest.raises(DataError, match=r"test_labels: row 3: expected a label of 0 to 1, got 2$"):
        NpzFile(file=file).load()


def test_parts_of_other_shapes_are_refused(tmp_path: Path) -> None:
    file = npz(
        tmp_path,
        train_values=VALUES,
        train_labels=alternating(10),
        test_values=VALUES[:, :3],
        test_labels=alternating(10),
    )

    with pytest.raises(DataError, match=r"test: expected rows of shape \(4,\), as those of train, got \(3,\)$"):
        NpzFile(file=file).load()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"], ids=repr)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"data\.npz: expected an \.npz file that can be read: [^\n]+$"):
        NpzFile(file=path).load()


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", VALUES)

    with pytest.raises(DataError, match=r"data\.npy: expected an \.npz file, with arrays by name, got a single array$"):
        NpzFile(file=tmp_path / "data.npy").load()
