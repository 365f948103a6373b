"""This module is what the manifest says of a version whose statistics were re-estimated from data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.record import Record

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Proof = Literal["parameters.npz", "source.onnx", "unfolded.onnx"]


class PredictionsRecord(Record):
    """What an output that holds a score for every class predicts over the rows: the class of the largest score.

    Attributes:
        agreement: Share of the rows that both versions predict the same class for.
        before: Rows by the class that the source version predicts; classes that it predicts for none are not there.
        after: The same of this version.
        entropy_before: Of the distribution ``before``, in nats.
        entropy_after: Of the distribution ``after``, in nats.
        accuracy_before: Share of the rows that the source version predicts their label for; null without labels.
        accuracy_after: The same of this version.
    """

    agreement: Share
    before: dict[str, Count]
    after: dict[str, Count]
    entropy_before: float
    entropy_after: float
    accuracy_before: Share | None
    accuracy_after: Share | None


class OutputChangeRecord(Record):
    """How much one output changed over the rows.

    Attributes:
        name: Of the output.
        relative_difference: The largest absolute difference over the largest absolute value of the source version.
        predictions: What it predicts, where it holds a score for every class; null elsewhere.
    """

    name: str
    relative_difference: Annotated[float, Field(ge=0)]
    predictions: PredictionsRecord | None


class LayerChangeRecord(Record):
    """How far a layer's new statistics are from those of the source version; the terms are those of ``layers.py``.

    Attributes:
        name: Of the layer.
        mean_absolute_shift: Of the channels' shifts ``z``.
        max_absolute_shift: Of the channels' shifts ``z``.
        min_ratio: Of the channels' variance ratios ``r``.
        max_ratio: Of the channels' variance ratios ``r``.
        mean_symmetric_kl: Over the channels whose new variance is not 0, in nats; null if there are none.
    """

    name: str
    mean_absolute_shift: float
    max_absolute_shift: float
    min_ratio: float
    max_ratio: float
    mean_symmetric_kl: float | None


class RecalibrationRecord(Record):
    """Where a version's statistics come from that was made from another by re-estimating them.

    Attributes:
        source_version: The version that it was made from; everything but the statistics is that version's.
        rows: So many rows the new statistics come from.
        prior_rows: So many rows the source version's statistics count as.
        batch_rows: At most so many rows were one batch.
        data: What the rows are, in words.
        proof: The file of this bundle that holds the network with the new statistics: the parameters, the imported
            file, or, where the statistics have no place in either, the unfolded graph.
        outputs: How much every output changed over the rows.
        layers: How much every layer's statistics changed.
    """

    source_version: Annotated[int, Field(gt=0)]
    rows: Annotated[int, Field(gt=0)]
    prior_rows: Count
    batch_rows: Annotated[int, Field(gt=0)]
    data: str
    proof: Proof
    outputs: tuple[OutputChangeRecord, ...]
    layers: tuple[LayerChangeRecord, ...]
