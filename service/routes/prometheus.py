"""This module gives the metrics to Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from service.metrics import CONTENT_TYPE, Metrics

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Metrics in Prometheus's text format."""
    counted: Metrics = request.app.state.metrics
    return PlainTextResponse(counted.text(), media_type=CONTENT_TYPE)
