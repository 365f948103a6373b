"""This module lists what is in the store, and why something of it does not answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.inference.registry import State
from service.protocol.fields import complaint, parse_json, read_flag
from service.routes.body import BODY_HEADERS, pick_headers, read_body
from service.routes.dependencies import Models

router = APIRouter(tags=["repository"])


class IndexRequest(BaseModel):
    """What to list; the body may be left out."""

    ready: bool = Field(default=False, description="List only what answers.")


class IndexEntry(BaseModel):
    """One version in the store."""

    name: str
    version: str
    state: State
    reason: str = Field(description="Why it does not answer; empty if it does.")


@router.post(
    "/v2/repository/index",
    openapi_extra={
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": IndexRequest.model_json_schema()}},
        }
    },
)
async def index(request: Request, models: Models) -> list[IndexEntry]:
    """Every version in the store, whether it answers, and why not.

    The body is read whatever its content type: clients of the protocol send none, and an empty body too.
    """
    headers = pick_headers(request.scope["headers"], BODY_HEADERS)
    body = await read_body(request.receive, headers, limit=request.app.state.settings.max_request_bytes)
    document = parse_json(body) if body else {}
    if not isinstance(document, dict):
        raise complaint("request", "an object", document)
    only_ready = read_flag(document.get("ready"), "ready", default=False)
    return [
        IndexEntry(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        for entry in models.index()
        if entry.state == "READY" or not only_ready
    ]
