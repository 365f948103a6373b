"""This module is what the manifest says of how a network came to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.record import Arguments, Record, Sha256
from models.standardization import StandardizationRecord


class DataRecord(Record):
    """The data a network was fitted to: its name, its rows by split, and a hash of its content."""

    name: str
    rows: dict[str, int]
    sha256: Sha256


class TrainingRecord(Record):
    """How the network came to be.

    Attributes:
        rows: Those behind its statistics, unless they were recalibrated since.
        data: What it was fitted to.
        recipe: All that the recipe said.
        metrics: How well the graph does.
        seconds: What the fit took.
        libraries: The versions that took part.
        standardization: What stands in front of the network proper, if anything does.
    """

    rows: Annotated[int, Field(gt=0)]
    data: DataRecord
    recipe: Arguments
    metrics: dict[str, float]
    seconds: float
    libraries: dict[str, str]
    standardization: StandardizationRecord | None = None
