"""This module describes what a version's layers saw in the past, period by period."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from models.stacked_moments import StackedMoments
from service.inference.served_model import ServedModel
from service.normalization.figures import drift_summaries, live_share, live_summaries, share_drift
from service.normalization.findings import finding
from service.normalization.judgement import Judge, Judgement
from service.normalization.report import drift_of_model
from service.normalization.schemas import DriftOfModel, DriftSummaries, LiveShare, LiveSummaries, ShareDrift

if TYPE_CHECKING:
    from service.history.period import Period


class LayerPeriod(BaseModel):
    """What one layer saw in a period."""

    name: str = Field(examples=["features.1"])
    live: LiveSummaries
    drift: DriftSummaries


class InputPeriod(BaseModel):
    """What one input that has atoms held in a period."""

    name: str = Field(examples=["image"])
    live: LiveShare
    drift: ShareDrift


class HistoryPeriod(BaseModel):
    """What was seen of a version in a period: one window, or all that were closed in a minute, an hour or a day."""

    since: datetime = Field(description="When the period began.")
    until: datetime = Field(description="When it ends; it may not be over yet.")
    windows: int
    rows: int
    rows_not_finite: int
    drift: DriftOfModel = Field(description="Its scores are null where its rows are more than a window's.")
    layers: list[LayerPeriod] = Field(description="Empty where the version had other layers then.")
    inputs: list[InputPeriod] = Field(description="Inputs that have atoms; empty likewise.")


class HistoryReport(BaseModel):
    """What a version's layers saw in some time, oldest first."""

    model_name: str
    model_version: str
    periods: list[HistoryPeriod]


def describe_history(model: ServedModel, periods: Sequence[Period], judge: Judge | None) -> HistoryReport:
    """What was read, beside what the layers were trained on.

    Args:
        model: The version.
        periods: Its own.
        judge: Of its windows; None where it is not observed now, and nothing is judged.
    """
    return HistoryReport(
        model_name=model.name,
        model_version=model.version,
        periods=[_period(model, period, judge) for period in periods],
    )


def _period(model: ServedModel, period: Period, judge: Judge | None) -> HistoryPeriod:
    known = [layer.channels for layer in model.watched] == [layer.channels for layer in period.layers]
    found = finding(
        period.layers if known else (),
        model.watched if known else (),
        rows=period.rows,
        since=period.first_row_at,
        until=period.last_row_at,
        judgement=_judged(model, period, judge) if known else None,
    )
    return HistoryPeriod(
        since=period.since,
        until=period.until,
        windows=period.windows,
        rows=period.rows,
        rows_not_finite=period.rows_not_finite,
        drift=drift_of_model(model, found),
        layers=[
            LayerPeriod(name=layer.name, live=live_summaries(found, one), drift=drift_summaries(found, one))
            for layer, one in zip(model.layers, found.layers, strict=False)
        ],
        inputs=[
            InputPeriod(name=atoms.input, live=live_share(found, one), drift=share_drift(found, one))
            for atoms, one in zip(model.atoms, found.layers[len(model.layers) :], strict=False)
        ],
    )


def _judged(model: ServedModel, period: Period, judge: Judge | None) -> Judgement | None:
    if judge is None:
        return None
    return judge.judge(StackedMoments.from_inputs(period.rows, period.layers, model.watched))
