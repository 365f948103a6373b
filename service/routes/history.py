"""This module answers what the normalization layers of a model saw in the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from service.errors import InvalidRequest
from service.inference.served_model import ServedModel
from service.normalization.history import History
from service.normalization.history_report import HistoryReport, describe_history
from service.normalization.watcher import Watcher
from service.routes.dependencies import DefaultVersion, Kept, NamedVersion, Watched

router = APIRouter(tags=["normalization"])

DAY = timedelta(days=1)


class HistoryQuery(BaseModel):
    """Which part of the history."""

    since: AwareDatetime | None = Field(
        default=None,
        alias="from",
        description="Periods that end later, with a time zone; a day before `to` if left out.",
        examples=["2026-01-31T00:00:00Z"],
    )
    to: AwareDatetime | None = Field(
        default=None, description="Periods that begin earlier, with a time zone; now if left out."
    )
    resolution: Literal["window", "minute", "hour", "day", "auto"] = Field(
        default="auto", description="How long a period is; `auto` takes the finest that fits the limit."
    )
    limit: int = Field(default=500, ge=1, le=5000, description="Most periods of an answer.")


Asked = Annotated[HistoryQuery, Query()]


# not async: a database is asked, and so it is done in a thread
@router.get("/v2/models/{model}/normalization/history")
def history(served: DefaultVersion, kept: Kept, watcher: Watched, asked: Asked) -> HistoryReport:
    """What the layers of the default version saw in some time, oldest first."""
    return _history(served, kept, watcher, asked)


@router.get("/v2/models/{model}/versions/{version}/normalization/history")
def version_history(served: NamedVersion, kept: Kept, watcher: Watched, asked: Asked) -> HistoryReport:
    """What the layers of this version saw in some time, oldest first."""
    return _history(served, kept, watcher, asked)


def _history(served: ServedModel, kept: History, watcher: Watcher, asked: HistoryQuery) -> HistoryReport:
    until = asked.to or datetime.now(UTC)
    since = asked.since or until - DAY
    if since >= until:
        raise InvalidRequest(f"from: expected a time before {until.isoformat()}, got {since.isoformat()}")
    periods = kept.read(served, since, until, asked.resolution, asked.limit)
    return describe_history(served, periods, watcher.judge(served))
