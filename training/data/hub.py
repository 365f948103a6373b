"""This module reads data sets of the Hugging Face hub, or local ones that its library ``datasets`` can read.

What was loaded once is kept by that library, and is there without a network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from folding.errors import one_line
from training.data.cutting import PARTS, Part, make_splits
from training.data.encoded_images import image_rows
from training.data.pixels import PixelForm
from training.data.places import nearest
from training.data.splits import LabelledRows, Splits
from training.data.table import Table, TableColumns, encode_label_column, splits_of_tables
from training.errors import DataError

READERS = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}
"""What reads a single file, by the end of its name."""


class HubDataset(PixelForm, TableColumns):
    """A data set by its name there, ``ylecun/mnist``, or by the path of a file or folder.

    Attributes:
        name: The data set.
        config: Which of its configurations, where it has several.
        revision: Which version of it: a branch, a tag or a commit; what a commit names never changes.
        image: The column of images; or
        columns: those of numbers; all but the label if neither is given.
        label: The column of classes; their names are those that the data set has.
        in_memory: Whether all images are kept in memory as they were decoded.
        splits: What it calls the parts that are wanted; ``train``, ``validation`` and ``test`` if not given.
    """

    format: Literal["hub"] = "hub"
    name: str
    config: str | None = None
    revision: str | None = None
    image: str | None = None
    in_memory: bool = False
    label: str = "label"
    splits: dict[Part, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_of_images_or_numbers(self) -> HubDataset:
        if self.image is not None and (self.columns is not None or self.without):
            raise ValueError("expected image, or columns and without, not both")
        return self

    def load(self) -> Splits[LabelledRows]:
        """Rows of images as those of ``ImageFolder``, or of numbers as those of a table.

        Raises:
            DataError: If it is not there, can't be read, or its rows are none.
        """
        parts = self._parts(_load(self))
        for column in (self.label, *((self.image,) if self.image else ())):
            there = parts["train"].column_names
            if column not in there:
                raise DataError(
                    f"{self.name}: expected a column {column!r}, got {', '.join(there)}{nearest(column, there)}"
                )
        named = self.model_copy(update={"names": self.names or _class_names(parts["train"], self.label)})
        return named._of_images(parts) if self.image else named._of_numbers(parts)

    def _of_images(self, parts: Mapping[str, Any]) -> Splits[LabelledRows]:
        names, labels = encode_label_column(
            {part: self._table(part, each.select_columns([self.label])) for part, each in parts.items()}, self
        )
        form = PixelForm(size=self.size, resize=self.resize, channels=self.channels)
        rows: dict[str, LabelledRows] = {
            part: image_rows(
                HubImages(f"{self.name}: {part}", _encoded(each, self.image, self.name)),
                labels[part],
                form,
                in_memory=self.in_memory,
            )
            for part, each in parts.items()
        }
        return make_splits(self.name, names, rows, self.split)

    def _of_numbers(self, parts: Mapping[str, Any]) -> Splits[LabelledRows]:
        return splits_of_tables(self.name, {part: self._table(part, each) for part, each in parts.items()}, self)

    def _table(self, part: str, loaded: Any) -> Table:  # noqa: ANN401
        place = f"{self.name}: {part}"
        return Table(place, loaded.with_format("arrow")[:], lambda row: f"{place}: row {row + 1}")

    def _parts(self, loaded: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self.splits or {part: part for part in PARTS}
        for name in self.splits.values():
            if name not in loaded:
                raise DataError(
                    f"{self.name}: splits: expected one of {', '.join(loaded)}, got {name!r}{nearest(name, loaded)}"
                )
        parts: dict[str, Any] = {part: loaded[name] for part, name in wanted.items() if name in loaded}
        if "train" not in parts:
            raise DataError(f"{self.name}: splits: expected a part to train on, got {', '.join(loaded)}")
        return parts


@dataclass(frozen=True, slots=True, eq=False)
class HubImages:
    """Images of a data set, as they are encoded there.

    Attributes:
        place: What messages name the data set.
        encoded: Its column of images, a dictionary with ``bytes`` or ``path`` each.
    """

    place: str
    encoded: Any

    def read(self, number: int) -> bytes:
        """See ``Encoded``."""
        found = self.encoded[number]
        try:
            if isinstance(found, dict):
                return found.get("bytes") or Path(found.get("path") or "").read_bytes()
        except OSError as error:
            raise DataError(f"{self.name(number)}: expected an image that can be read: {error}") from error
        raise DataError(f"{self.name(number)}: expected an image, got {found!r}")

    def name(self, number: int) -> str:
        """The row, counted from 1."""
        return f"{self.place}: row {number + 1}"


def _load(source: HubDataset) -> Mapping[str, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before it is imported
    try:
        import datasets  # noqa: PLC0415  it takes seconds, and is optional
    except ModuleNotFoundError as error:
        raise DataError(
            "data: format hub: expected the package datasets, it is not installed; `pip install '.[hub]'` adds it"
        ) from error
    path = Path(source.name)
    try:
        if path.is_file():
            if path.suffix not in READERS:
                raise DataError(f"{path}: expected a file that ends with {', '.join(READERS)}, or a folder")
            loaded = datasets.load_dataset(READERS[path.suffix], data_files=str(path))
        else:
            loaded = datasets.load_dataset(source.name, source.config, revision=source.revision)
    except (
        OSError,
        ValueError,
        datasets.exceptions.DatasetsError,
        datasets.exceptions.DatasetGenerationError,
    ) as error:
        raise DataError(f"{source.name}: expected a data set that can be loaded: {one_line(error)}") from error
    found: Mapping[str, Any] = loaded
    return found


def _class_names(part: Any, label: str) -> tuple[str, ...]:  # noqa: ANN401
    return tuple(getattr(part.features[label], "names", None) or ())


def _encoded(part: Any, image: str | None, place: str) -> Any:  # noqa: ANN401
    import datasets  # noqa: PLC0415

    try:
        return part.cast_column(image, datasets.Image(decode=False))[image]
    except (TypeError, ValueError, NotImplementedError) as error:
        raise DataError(f"{place}: column {image!r}: expected images, got {part.features[image]}") from error
