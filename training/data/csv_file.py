"""This module reads CSV files, whose first line names the columns."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pyarrow import csv
from pydantic import StringConstraints

from training.data.table import Table, TableFile, refuse_duplicates
from training.errors import DataError


class CsvFile(TableFile):
    """Text, one row a line.

    Attributes:
        delimiter: What stands between two values.
    """

    format: Literal["csv"] = "csv"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","

    def read(self, path: Path) -> Table:
        """Every value as the text that it is, so that what is no number can be named; empty lines are none.

        Raises:
            DataError: If the file is empty, no UTF-8, or a line has more or fewer values than the first.
        """
        # one thread: only then does an error tell its row
        one_thread, options = csv.ReadOptions(use_threads=False), csv.ParseOptions(delimiter=self.delimiter)
        try:
            with csv.open_csv(path, read_options=one_thread, parse_options=options) as opened:
                names = opened.schema.names
            refuse_duplicates(str(path), names)
            columns = csv.read_csv(
                path,
                read_options=one_thread,
                parse_options=options,
                convert_options=csv.ConvertOptions(column_types={name: pa.string() for name in names}),
            )
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: expected a CSV file that can be read: {error}") from error
        return Table(str(path), columns, lambda row: f"{path}: row {row + 1} (line {_line(path, row)})")


def _line(path: Path, row: int) -> int:
    """The number of a row's line from 1, where no value spans lines."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        filled = (number for number, line in enumerate(lines, start=1) if line.strip("\r\n"))
        return next(islice(filled, row + 1, None))
