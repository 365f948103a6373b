"""This module reads Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyarrow import parquet

from training.data.table import Table, TableFile
from training.errors import DataError


class ParquetFile(TableFile):
    """Columns of numbers, and one of text or whole numbers."""

    format: Literal["parquet"] = "parquet"

    def read(self, path: Path) -> Table:
        """Every column that may be wanted.

        Raises:
            DataError: If the file is no Parquet file, or damaged.
        """
        try:
            columns = parquet.ParquetFile(path).read()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: expected a Parquet file that can be read: {error}") from error
        return Table(str(path), columns, lambda row: f"{path}: row {row + 1}")
