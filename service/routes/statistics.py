"""This module answers what each version has done, in the form of Triton's statistics extension.

Counts are of requests. Those that share a run each count all of its time, as Triton counts; nothing is cached here.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.figures import VersionFigures
from service.inference.served_model import ServedModel
from service.metrics import Metrics
from service.routes.dependencies import Counted, DefaultVersion, Models, NamedVersion

router = APIRouter(tags=["metrics"])


class Duration(BaseModel):
    """How often something was done, and how long that took in all."""

    count: int
    ns: int = Field(description="Nanoseconds.")


class InferenceStatistics(BaseModel):
    """What became of requests, and where the time of those that were answered went."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(BaseModel):
    """What one version has done since the service started."""

    name: str
    version: str
    last_inference: int = Field(description="When it ran last, in milliseconds since 1970; 0 for never.")
    inference_count: int = Field(description="Rows answered.")
    execution_count: int = Field(description="Runs of the graph, each of the rows of one or more requests.")
    inference_stats: InferenceStatistics


class Statistics(BaseModel):
    """What several versions have done."""

    model_stats: list[ModelStatistics]


@router.get("/v2/models/stats")
async def statistics(models: Models, metrics: Counted) -> Statistics:
    """What every version that answers has done."""
    return _of(models.served(), metrics)


@router.get("/v2/models/{model}/stats")
async def model_statistics(served: DefaultVersion, models: Models, metrics: Counted) -> Statistics:
    """What every version of the model that answers has done."""
    return _of([version for version in models.served() if version.name == served.name], metrics)


@router.get("/v2/models/{model}/versions/{version}/stats")
async def version_statistics(served: NamedVersion, metrics: Counted) -> Statistics:
    """What this version has done."""
    return _of([served], metrics)


def _of(versions: list[ServedModel], metrics: Metrics) -> Statistics:
    figures = metrics.total()
    nothing = VersionFigures()
    return Statistics(
        model_stats=[_describe(served, figures.get((served.name, served.version), nothing)) for served in versions]
    )


def _describe(served: ServedModel, figures: VersionFigures) -> ModelStatistics:
    answered = figures.request_seconds.count
    failed = sum(figures.requests.values()) - answered
    return ModelStatistics(
        name=served.name,
        version=served.version,
        last_inference=round(figures.last_run * 1000),
        inference_count=figures.rows,
        execution_count=figures.batch_rows.count,
        inference_stats=InferenceStatistics(
            success=_duration(answered, figures.request_seconds.total),
            fail=_duration(failed, figures.failed_seconds),
            queue=_duration(answered, figures.queue_seconds.total),
            compute_input=_duration(answered, figures.input_seconds),
            compute_infer=_duration(answered, figures.infer_seconds),
            compute_output=_duration(answered, figures.output_seconds),
            cache_hit=_duration(0, 0.0),
            cache_miss=_duration(0, 0.0),
        ),
    )


def _duration(count: int, seconds: float) -> Duration:
    return Duration(count=count, ns=round(seconds * 1e9))
