"""This package is the data: a model a format, which is what a recipe says of the data, and next to it what reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from training.data.csv_file import CsvFile
from training.data.digits import Digits
from training.data.hub import HubDataset
from training.data.idx import IdxFiles
from training.data.image_folder import ImageFolder
from training.data.npz import NpzFile
from training.data.parquet_file import ParquetFile
from training.data.splits import LabelledRows, Rows, Splits

__all__ = ["FORMATS", "Data", "LabelledRows", "Rows", "Splits"]

FORMATS = ("digits", "idx", "npz", "csv", "parquet", "images", "hub")


def _fields(data: Any) -> Any:  # noqa: ANN401  whatever a recipe has there
    return {"format": data} if isinstance(data, str) else data


def _format(data: Any) -> str | None:  # noqa: ANN401
    return data.get("format") if isinstance(data, dict) else getattr(data, "format", None)


Data = Annotated[
    Annotated[Digits, Tag("digits")]
    | Annotated[IdxFiles, Tag("idx")]
    | Annotated[NpzFile, Tag("npz")]
    | Annotated[CsvFile, Tag("csv")]
    | Annotated[ParquetFile, Tag("parquet")]
    | Annotated[ImageFolder, Tag("images")]
    | Annotated[HubDataset, Tag("hub")],
    Discriminator(
        _format,
        custom_error_type="data_format",
        custom_error_message=f"Expected a format of {', '.join(FORMATS)}",
    ),
    BeforeValidator(_fields),
]
"""What a recipe says of its data: a format and its fields, or the format's name alone where it needs none."""
