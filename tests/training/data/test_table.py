from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from training.data import LabelledRows, Splits
from training.data.batches import read_all
from training.data.csv_file import CsvFile
from training.data.parquet_file import ParquetFile
from training.errors import DataError

ROWS = 30
GOOD = [f"{row},{row / 4},{'ab'[row % 2]}" for row in range(ROWS)]


def csv_file(tmp_path: Path, lines: list[str], header: str = "width,height,kind") -> Path:
    path = tmp_path / "data.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def parquet_file(tmp_path: Path, **columns: Any) -> Path:  # noqa: ANN401
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table({"kind": ["a", "b"] * (ROWS // 2)} | columns), path)
    return path


def all_rows(splits: Splits[LabelledRows]) -> list[list[float]]:
    rows = torch.cat([read_all(part) for part in (splits.train, splits.validation, splits.test)])
    return sorted(rows.tolist())


def test_all_columns_but_the_label_are_values(tmp_path: Path) -> None:
    splits = CsvFile(file=csv_file(tmp_path, GOOD), label="kind").load()

    assert splits.columns == ("width", "height")
    assert splits.labels == ("a", "b")
    assert all_rows(splits) == [[row, row / 4] for row in range(ROWS)]


def test_a_parquet_table_is_the_same_data_as_its_csv_file(tmp_path: Path) -> None:
    numbers = list(range(ROWS))
    file = parquet_file(tmp_path, width=numbers, height=[row / 4 for row in numbers])

    parquet_splits = ParquetFile(file=file, label="kind").load()

    csv_splits = CsvFile(file=csv_file(tmp_path, GOOD), label="kind").load()
    assert parquet_splits.record().sha256 == csv_splits.record().sha256


def test_columns_can_be_chosen_in_an_order_of_their_own(tmp_path: Path) -> None:
    splits = CsvFile(file=csv_file(tmp_path, GOOD), label="kind", columns=("height", "width")).load()

    assert splits.columns == ("height", "width")
    assert all_rows(splits) == [[row / 4, row] for row in range(ROWS)]


def test_a_column_of_text_can_be_left_out(tmp_path: Path) -> None:
    lines = [f"someone,{line}" for line in GOOD]

    splits = CsvFile(file=csv_file(tmp_path, lines, "who,width,height,kind"), label="kind", without=("who",)).load()

    assert splits.columns == ("width", "height")


def test_labels_that_are_whole_numbers_are_in_their_order(tmp_path: Path) -> None:
    lines = [f"{row},1,{(2, 10, -1)[row % 3]}" for row in range(ROWS)]

    splits = CsvFile(file=csv_file(tmp_path, lines), label="kind").load()

    assert splits.labels == ("-1", "2", "10")


def test_names_say_what_the_numbers_from_0_stand_for(tmp_path: Path) -> None:
    """A CSV file has them as text, which is then no name of a class."""
    numbers = [row % 2 for row in range(ROWS)]
    csv = csv_file(tmp_path, [f"{row},{row / 4},{row % 2}" for row in range(ROWS)])
    table = parquet_file(tmp_path, width=range(ROWS), height=[row / 4 for row in range(ROWS)], kind=numbers)

    as_text, as_numbers = (
        source(file=file, label="kind", names=("cat", "dog")).load()
        for source, file in ((CsvFile, csv), (ParquetFile, table))
    )

    assert as_text.labels == as_numbers.labels == ("cat", "dog")
    assert as_text.record().sha256 == as_numbers.record().sha256


def test_numbers_that_are_names_are_classes_in_the_order_of_the_names(tmp_path: Path) -> None:
    lines = [f"{row},1,{(10, 20)[row % 2]}" for row in range(ROWS)]

    splits = CsvFile(file=csv_file(tmp_path, lines), label="kind", names=("20", "10")).load()

    assert splits.labels == ("20", "10")
    assert torch.equal(splits.train.labels, (read_all(splits.train)[:, 0] + 1) % 2)


def test_the_test_rows_can_have_a_file_of_their_own(tmp_path: Path) -> None:
    file = csv_file(tmp_path, GOOD)
    (tmp_path / "test.csv").write_text("kind,width,height\nb,7,8\na,9,10\n")

    splits = CsvFile(file=file, test_file=tmp_path / "test.csv", label="kind").load()

    assert read_all(splits.test).tolist() == [[7, 8], [9, 10]]
    assert splits.test.labels.tolist() == [1, 0]


def test_another_delimiter_and_spaces_around_values_are_read(tmp_path: Path) -> None:
    lines = [line.replace(",", " ; ") for line in GOOD]

    splits = CsvFile(file=csv_file(tmp_path, lines, "width;height;kind"), label="kind", delimiter=";").load()

    assert splits.labels == ("a", "b")
    assert all_rows(splits)[1] == [1, 0.25]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("3,oops,a", r"row 3 \(line 5\): column 'height': expected a number, got 'oops'"),
        ("3,,a", r"row 3 \(line 5\): column 'height': expected a number, got none"),
        ("nan,1,a", r"row 3 \(line 5\): column 'width': expected a number, got 'nan'"),
        ("inf,1,a", r"row 3 \(line 5\): column 'width': expected a number, got 'inf'"),
        ("1e39,1,a", r"row 3 \(line 5\): column 'width': expected a number that is finite in float32, got 1e39"),
        ("1,1,", r"row 3 \(line 5\): column 'kind': expected a label, got none"),
        ("1,1", "expected a CSV file that can be read: CSV parse error: Row #4: Expected 3 columns, got 2: 1,1"),
    ],
)
def test_a_bad_value_is_refused_by_row_line_and_column(tmp_path: Path, line: str, problem: str) -> None:
    """The line counts what the rows do not: the header, and an empty line."""
    file = csv_file(tmp_path, [*GOOD[:1], "", *GOOD[1:2], line, *GOOD[2:]])

    with pytest.raises(DataError, match=rf"data\.csv: {problem}$"):
        CsvFile(file=file, label="kind").load()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"label": "kinds"}, "expected a column 'kinds', got width, height, kind; did you mean kind"),
        ({"label": "kind", "columns": ["widht"]}, "expected a column 'widht', got .*; did you mean width"),
        ({"label": "kind", "without": ["depth"]}, "expected a column 'depth', got width, height, kind"),
        ({"label": "kind", "columns": ["width", "width"]}, "expected every column once, got 'width' 2 times"),
        ({"label": "kind", "columns": ["width", "kind"]}, "expected the label 'kind' to be no column of values"),
        (
            {"label": "kind", "without": ["width", "height"]},
            "expected columns of values beside the label 'kind', got none",
        ),
        ({"label": "kind", "names": ["a", "c"]}, "column 'kind': row 2: expected a label of a, c, got 'b'"),
        (
            {"label": "width", "without": ["kind"], "names": ["a", "b"]},
            "column 'width': row 3: expected a label of 0, 1, got '2'",
        ),
    ],
)
def test_columns_that_there_are_not_are_refused(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    file = csv_file(tmp_path, GOOD)

    with pytest.raises(DataError, match=problem):
        CsvFile.model_validate({"file": file, **fields}).load()


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    file = csv_file(tmp_path, GOOD, "width,width,kind")

    with pytest.raises(DataError, match=r"data\.csv: expected every column once, got 'width' 2 times$"):
        CsvFile(file=file, label="kind").load()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe,b\n1,2\n", b"width,kind\n1,\xff\n"], ids=repr)
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"data\.csv: expected a CSV file that can be read: [^\n]+$"):
        CsvFile(file=path, label="kind").load()


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.csv: expected rows, got none$"):
        CsvFile(file=csv_file(tmp_path, []), label="kind").load()


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ([1.0] * 29 + [None], "row 30: column 'width': expected a number, got none"),
        ([1.0] * 29 + [float("nan")], "row 30: column 'width': expected a number that is finite in float32, got nan"),
        ([1e39] * ROWS, "row 1: column 'width': expected a number that is finite in float32, got 1e[+]39"),
        (["x"] * ROWS, "row 1: column 'width': expected a number, got 'x'"),
        ([[1]] * ROWS, "column 'width': expected numbers, got list<.*>; a column that is none can be left out"),
    ],
)
def test_a_bad_value_of_a_parquet_table_is_refused_by_row_and_column(
    tmp_path: Path, column: list[Any], problem: str
) -> None:
    with pytest.raises(DataError, match=rf"data\.parquet: {problem}$"):
        ParquetFile(file=parquet_file(tmp_path, width=column), label="kind").load()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array([True, False] * 15), ("false", "true")),
        (pa.array(["b", "a"] * 15).dictionary_encode(), ("a", "b")),
        (pa.array([3, -1] * 15, pa.int8()), ("-1", "3")),
        (pa.array([1.0, 2.0] * 15), ("1", "2")),
    ],
    ids=["bool", "dictionary", "int8", "whole floats"],
)
def test_labels_of_a_parquet_table_may_have_any_type_of_classes(
    tmp_path: Path, labels: pa.Array, names: tuple[str, ...]
) -> None:
    splits = ParquetFile(file=parquet_file(tmp_path, width=np.arange(ROWS), kind=labels), label="kind").load()

    assert splits.labels == names


def test_labels_that_are_measured_values_are_refused(tmp_path: Path) -> None:
    file = parquet_file(tmp_path, width=np.arange(ROWS), kind=np.arange(ROWS) / 3)

    with pytest.raises(DataError, match=r"column 'kind': row 2: expected a label, text or a whole number, got 0\.333"):
        ParquetFile(file=file, label="kind").load()


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and no more")

    with pytest.raises(DataError, match=r"data\.parquet: expected a Parquet file that can be read: [^\n]+$"):
        ParquetFile(file=path, label="kind").load()
