"""This module is what the manifest says of the standardization in front of a network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from models.record import Record


class StandardizationRecord(Record):
    """How rows are brought to mean 0 and variance 1 before the network proper, column by column.

    It is the first normalization layer, so clients send values as they are. A recalibration replaces the figures of the
    layer; these stay those of the training rows.

    Attributes:
        columns: The names of a table's columns; null for channels, which have none.
        mean: Of the training rows, one a column.
        deviation: The square root of their variance, not counting ``eps``.
        eps: What is added to every variance.
        offset: What is subtracted first, where a mean is many deviations from 0: the layer sees the rest. Null where
            no mean is.
    """

    columns: tuple[str, ...] | None
    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    deviation: tuple[Annotated[float, Field(gt=0)], ...]
    eps: Annotated[float, Field(gt=0)]
    offset: tuple[float, ...] | None

    @model_validator(mode="after")
    def _has_figures_of_every_column(self) -> StandardizationRecord:
        lengths = {len(field) for field in (self.columns, self.mean, self.deviation, self.offset) if field is not None}
        if len(lengths) > 1:
            raise ValueError("expected columns, mean, deviation and offset to be of one length")
        return self
