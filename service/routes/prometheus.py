"""This module gives the metrics to Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.metrics import CONTENT_TYPE
from service.routes.dependencies import Counted

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(counted: Counted) -> Response:
    """Metrics in Prometheus's text format."""
    return Response(counted.text(), media_type=CONTENT_TYPE)
