"""This module is what the service answers about normalization layers.

Every layer has two forms: summaries, for an overview of all layers, and arrays, one number a channel.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from models.manifest import FoldingRecord, Placement, ScaleRecord, TapRecord, UntrackedRecord


class Summary(BaseModel):
    """One figure over all channels of a layer."""

    min: float
    mean: float
    max: float


class Health(BaseModel):
    """One finding about a layer, from its parameters and statistics alone."""

    flag: str = Field(examples=["dead-channels"])
    channels: int
    message: str


class TrainingSummaries(BaseModel):
    """What a layer learned and saw in training; the rows are those behind its statistics."""

    rows: int | None
    gamma: Summary
    beta: Summary
    mean: Summary
    variance: Summary


class TrainingArrays(BaseModel):
    """What a layer learned and saw in training, channel by channel."""

    rows: int | None
    gamma: list[float]
    beta: list[float]
    mean: list[float]
    variance: list[float]


class LiveSummaries(BaseModel):
    """What a layer saw of late, in the units of its input, so that it stands beside ``training``."""

    rows: int = Field(description="Rows behind it.", examples=[512])
    since: datetime = Field(description="When the first of them came.")
    until: datetime = Field(description="When the last of them came.")
    mean: Summary | None = Field(description="Null where no channel can be observed.")
    variance: Summary | None


class LiveArrays(BaseModel):
    """What a layer saw of late, channel by channel; null in channels that can't be observed."""

    rows: int
    since: datetime
    until: datetime
    mean: list[float | None]
    variance: list[float | None]


class ChannelDrift(BaseModel):
    """How far one channel is from what it was trained on."""

    channel: int
    shift: float
    ratio: float
    symmetric_kl: float | None


class Drift(BaseModel):
    """How far a layer, or an input, is from what was there in training."""

    score: float | None = Field(
        description="About 0 with deviation 1 where nothing moved. Null where it can't be judged: too few rows, or too "
        "many, or a bundle without calibration.",
        examples=[0.3],
    )
    threshold: float | None = Field(description="What the largest score of all is beyond at the alarm rate.")
    alarm: bool | None = Field(description="Whether the score is beyond the threshold.")


class DriftOfLayer(Drift):
    """How far a layer is from what it was trained on."""

    unobservable_channels: int = Field(description="Channels with a gamma near 0, of which the graph tells nothing.")


class DriftSummaries(DriftOfLayer):
    """That, summarized over the channels that can be observed."""

    shift: Summary | None = Field(description="Of the mean, in training deviations.")
    ratio: Summary | None = Field(description="Of the variances, live over training.")
    symmetric_kl: Summary | None = Field(description="In nats.")
    squared_wasserstein: Summary | None = Field(description="In training variances.")
    worst_channels: list[ChannelDrift] = Field(description="Those with the largest symmetric KL, worst first.")


class DriftArrays(DriftOfLayer):
    """That, channel by channel; null in channels that can't be observed."""

    shift: list[float | None]
    ratio: list[float | None]
    symmetric_kl: list[float | None]
    squared_wasserstein: list[float | None]


class LayerDescription(BaseModel):
    """What a layer is, and what became of it when the network was exported."""

    name: str = Field(description="Qualified name in the network.", examples=["features.1"])
    kind: str = Field(examples=["BatchNorm2d"])
    channels: int
    eps: float
    placement: Placement
    into: str | None = Field(description="Whose weights took the layer in.", examples=["features.0"])
    reason: str | None = Field(description="Why the layer stayed, where it did.")
    tap: TapRecord = Field(description="Where in the graph the layer can be observed.")
    scale: ScaleRecord = Field(description="How much the layer scales its channels, by absolute value.")


class LayerSummary(LayerDescription):
    """A layer, its figures summarized over its channels."""

    training: TrainingSummaries
    health: list[Health]
    live: LiveSummaries | None = Field(description="Null where no row was observed.")
    drift: DriftSummaries | None


class LayerDetail(LayerDescription):
    """A layer, its figures as arrays of length ``channels``."""

    training: TrainingArrays
    health: list[Health]
    live: LiveArrays | None = Field(description="Null where no row was observed.")
    drift: DriftArrays | None


class TrainingShare(BaseModel):
    """What share of a row's values was at the input's atoms, over held-out rows."""

    share: float = Field(description="Mean of the rows' shares.", examples=[0.81])
    deviation: float = Field(description="Standard deviation of the rows' shares.", examples=[0.05])


class LiveShare(BaseModel):
    """The same of late."""

    rows: int = Field(description="Rows behind it.", examples=[512])
    since: datetime = Field(description="When the first of them came.")
    until: datetime = Field(description="When the last of them came.")
    share: float
    deviation: float


class ShareDrift(Drift):
    """How far the share is from what it was."""

    shift: float = Field(description="Of the mean share, in training deviations.")
    ratio: float = Field(description="Of the shares' variances, live over training.")


class InputReport(BaseModel):
    """An input of which some channels take one value again and again, their atom: a black ground, a missing figure."""

    name: str = Field(examples=["image"])
    channels: int = Field(description="Indices of its second axis that have an atom.")
    values: Summary | None = Field(description="The atoms.")
    training: TrainingShare
    live: LiveShare | None = Field(description="Null where no row was observed.")
    drift: ShareDrift | None


class Observation(BaseModel):
    """How much of the traffic is observed, since the start or since it was reset."""

    share: float = Field(description="Of the runs, that are observed.", examples=[0.04])
    budget: float = Field(description="How much longer all runs together may take for it.", examples=[0.02])
    rows_seen: int = Field(description="Rows that ran.")
    rows_observed: int = Field(description="Rows that count.")
    rows_not_finite: int = Field(description="Rows that were observed and left out, being NaN or infinite somewhere.")
    rows_dropped: int = Field(description="Rows that were observed and left out, as too much waited to be added up.")
    reason: str | None = Field(description="Why nothing is observed; null where it is.")


class DriftOfModel(BaseModel):
    """How far the model is from what it was trained on: as far as the layer, or input, that is furthest off."""

    rows: int = Field(description="Rows behind it.")
    score: float | None = Field(
        description="The largest of its layers' and inputs' scores; null where it can't be judged."
    )
    threshold: float | None
    alarm: bool | None
    first_layer: str | None = Field(
        description="The first layer beyond the threshold, as data meets them. Null where none is: with an alarm it is "
        "an input's."
    )


class NormalizationReport(BaseModel):
    """What folding did to a model version, and its normalization layers in the order in which data meets them."""

    model_name: str
    model_version: str
    observation: Observation
    drift: DriftOfModel | None = Field(description="Null where no row was observed.")
    folding: FoldingRecord = Field(description="What folding did to the graph as a whole.")
    layers: list[LayerSummary]
    inputs: list[InputReport] = Field(description="Inputs that have atoms; most have none.")
    untracked: list[UntrackedRecord] = Field(description="Nodes that normalize without statistics of training data.")
