"""This package is the data: a model a format, which is what a recipe says of the data, and next to it what reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, overload

from pydantic import Discriminator, Tag

from training.data import digits
from training.data.csv_file import CsvFile
from training.data.digits import Digits
from training.data.hub import HubDataset
from training.data.idx import IdxFiles
from training.data.image_folder import ImageFolder
from training.data.npz import NpzFile
from training.data.parquet_file import ParquetFile
from training.data.splits import LabelledRows, Rows, Splits
from training.errors import RecipeError

__all__ = ["DATA", "FORMATS", "Data", "LabelledRows", "Rows", "Splits", "load_data"]

DATA: Mapping[str, Callable[[], Splits]] = {
    "digits": digits.load,
}
"""What a recipe can name by a word."""

FORMATS = ("digits", "idx", "npz", "csv", "parquet", "images", "hub")
BY_NAME = "name"


def _kind(data: Any) -> str | None:  # noqa: ANN401  whatever a recipe has there
    if isinstance(data, str):
        return BY_NAME
    return data.get("format") if isinstance(data, dict) else getattr(data, "format", None)


Data = Annotated[
    Annotated[str, Tag(BY_NAME)]
    | Annotated[Digits, Tag("digits")]
    | Annotated[IdxFiles, Tag("idx")]
    | Annotated[NpzFile, Tag("npz")]
    | Annotated[CsvFile, Tag("csv")]
    | Annotated[ParquetFile, Tag("parquet")]
    | Annotated[ImageFolder, Tag("images")]
    | Annotated[HubDataset, Tag("hub")],
    Discriminator(
        _kind,
        custom_error_type="data_format",
        custom_error_message=f"Expected a name, or a format of {', '.join(FORMATS)}",
    ),
]
"""What a recipe says of its data: a name of ``DATA``, or a format and its fields."""


@overload
def load_data(data: str) -> Splits: ...
@overload
def load_data(data: Data) -> Splits[LabelledRows]: ...
def load_data(data: Data) -> Splits[LabelledRows]:
    """Load a data set by its name, or by its format and where it is.

    Raises:
        RecipeError: If no data set has this name.
        DataError: If it can't be read, or can't be fitted to.
    """
    if not isinstance(data, str):
        return data.load()
    if data not in DATA:
        raise RecipeError(f"data: expected one of {', '.join(DATA)}, got {data!r}")
    return DATA[data]()
