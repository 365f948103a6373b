"""This module turns columns of a table into rows: numbers in, one of them a label out.

Whatever is no finite number is refused by its row and column, counted from 1 as people count the rows of a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from training.data.cutting import PARTS, Split, make_splits
from training.data.labels import encode_labels
from training.data.places import existing_file, nearest
from training.data.splits import LabelledRows, Rows, Splits
from training.errors import DataError

NUMBER = r"^\s*-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


class TableColumns(BaseModel):
    """Which columns of a table are what.

    Attributes:
        label: The column that holds the class, text or a whole number.
        columns: Those that hold the values, in this order; all others if not given.
        without: Columns to leave out.
        names: The class of every label from 0, or the classes in their order; by default the labels themselves.
        split: How parts are cut that the data does not bring.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    without: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    split: Split = Split()


class TableFile(TableColumns):
    """What the files of tables have in common.

    Attributes:
        file: The rows to train on.
        validation_file: Rows to decide by; cut out of the training rows if not given.
        test_file: Rows to measure on; likewise.
    """

    file: Path
    validation_file: Path | None = None
    test_file: Path | None = None

    def read(self, path: Path) -> Table:
        """One of the files; raises DataError if it can't be read."""
        raise NotImplementedError

    def load(self) -> Splits[LabelledRows]:
        """Rows ``(rows, columns)`` in float32.

        Raises:
            DataError: If a file can't be read, lacks a column, or a value is none.
        """
        files = {"train": self.file, "validation": self.validation_file, "test": self.test_file}
        tables = {part: self.read(existing_file(path)) for part, path in files.items() if path is not None}
        return splits_of_tables(str(self.file), tables, self)


@dataclass(frozen=True, slots=True)
class Table:
    """A table in memory, and how messages name a row of it, by its number from 0."""

    name: str
    columns: pa.Table
    place: Callable[[int], str]


def splits_of_tables(name: str, tables: Mapping[str, Table], columns: TableColumns) -> Splits[LabelledRows]:
    """A data set of the tables of its parts; raises DataError if they are none, see ``TableFile``."""
    chosen = _chosen(tables["train"], columns)
    values = {part: _matrix(table, chosen) for part, table in tables.items()}
    names, numbers = encode_label_column(tables, columns)
    parts: dict[str, LabelledRows] = {part: Rows(values[part], numbers[part]) for part in PARTS if part in tables}
    return make_splits(name, names, parts, columns.split, columns=chosen)


def encode_label_column(
    tables: Mapping[str, Table], columns: TableColumns
) -> tuple[tuple[str, ...], dict[str, torch.Tensor]]:
    """The name of every class, and by part the number of every row's class; see ``encode_labels``."""
    places = {part: _place(table, columns.label) for part, table in tables.items()}
    found = {places[part]: _labels(table, columns.label) for part, table in tables.items()}
    names, numbers = encode_labels(found, columns.names)
    return names, {part: numbers[place] for part, place in places.items()}


def refuse_duplicates(name: str, columns: Sequence[str]) -> None:
    """Raise DataError if two columns have one name."""
    for column, count in Counter(columns).items():
        if count > 1:
            raise DataError(f"{name}: expected every column once, got {column!r} {count} times")


def _chosen(table: Table, columns: TableColumns) -> tuple[str, ...]:
    there = table.columns.column_names
    named = columns.columns or ()
    refuse_duplicates(table.name, there)
    refuse_duplicates("columns", named)
    for column in (columns.label, *named, *columns.without):
        _refuse_missing(table, column)
    if columns.label in (*named, *columns.without):
        raise DataError(f"{table.name}: expected the label {columns.label!r} to be no column of values, nor left out")
    wanted = named or [column for column in there if column != columns.label]
    chosen = tuple(column for column in wanted if column not in columns.without)
    if not chosen:
        raise DataError(f"{table.name}: expected columns of values beside the label {columns.label!r}, got none")
    return chosen


def _refuse_missing(table: Table, column: str) -> None:
    there = table.columns.column_names
    if column not in there:
        raise DataError(f"{table.name}: expected a column {column!r}, got {', '.join(there)}{nearest(column, there)}")


def _matrix(table: Table, chosen: Sequence[str]) -> torch.Tensor:
    refuse_duplicates(table.name, table.columns.column_names)
    matrix = np.empty((table.columns.num_rows, len(chosen)), np.float32)
    for position, name in enumerate(chosen):
        _refuse_missing(table, name)
        with np.errstate(over="ignore"):
            matrix[:, position] = _numbers(table, name)
        for row in np.flatnonzero(~np.isfinite(matrix[:, position]))[:1]:
            got = table.columns.column(name)[int(row)].as_py()
            raise DataError(f"{_place(table, name, row)}: expected a number that is finite in float32, got {got}")
    return torch.from_numpy(matrix)


def _numbers(table: Table, name: str) -> NDArray[Any]:
    column = table.columns.column(name)
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    readable = column.is_valid()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        readable = pc.and_(readable, pc.fill_null(pc.match_substring_regex(column, NUMBER), False))
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        raise DataError(f"{_place(table, name)}: expected numbers, got {kind}; a column that is none can be left out")
    for row in np.flatnonzero(~readable.to_numpy())[:1]:
        got = column[int(row)].as_py()
        raise DataError(f"{_place(table, name, row)}: expected a number, got {repr(got) if got else 'none'}")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_trim_whitespace(column)
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    numbers: NDArray[Any] = column.cast(pa.float64(), safe=False).to_numpy()
    return numbers


def _labels(table: Table, name: str) -> NDArray[Any]:
    _refuse_missing(table, name)
    column = table.columns.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        raise DataError(f"{_place(table, name)}: expected labels that are text or whole numbers, got {column.type}")
    missing = ~column.is_valid().to_numpy()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        missing |= pc.fill_null(pc.equal(column, ""), True).to_numpy()
    for row in np.flatnonzero(missing)[:1]:
        raise DataError(f"{_place(table, name, row)}: expected a label, got none")
    if pa.types.is_boolean(column.type):
        column = pc.if_else(column, "true", "false")
    found: NDArray[Any] = column.to_numpy()
    return found.astype(np.str_) if found.dtype == object else found


def _place(table: Table, column: str, row: int | None = None) -> str:
    return f"{table.name if row is None else table.place(int(row))}: column {column!r}"
