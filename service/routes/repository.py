"""This module lists what is in the store, and lets clients load, unload and promote it.

Bodies are read whatever their content type: clients of the protocol send none, and an empty body too.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from service.errors import InvalidRequest
from service.inference.model_config import read_version_policy
from service.inference.model_versions import State
from service.inference.promotion import Promotion
from service.protocol.fields import Json, complaint, parse_json, read_flag, read_object, read_string
from service.routes.body import BODY_HEADERS, pick_headers, read_body
from service.routes.dependencies import ControlledModels, ModelName, Models

router = APIRouter(tags=["repository"])

MODEL = "/v2/repository/models/{model}"


class IndexRequest(BaseModel):
    """What to list; the body may be left out."""

    ready: bool = Field(default=False, description="List only what answers.", examples=[True])


class IndexEntry(BaseModel):
    """One version in the store."""

    name: str
    version: str
    state: State
    reason: str = Field(description="Why it does not answer; empty if it does.")


class LoadParameters(BaseModel):
    """How to load a model."""

    config: str | None = Field(
        default=None,
        description="A model configuration as a string of JSON, with version_policy alone; "
        "without it the policy is that of the settings.",
        examples=['{"version_policy": {"specific": {"versions": [1, 3]}}}'],
    )


class LoadRequest(BaseModel):
    """How to load a model; the body may be left out."""

    parameters: LoadParameters | None = None


class UnloadParameters(BaseModel):
    """How to unload a model."""

    unload_dependents: bool = Field(default=False, description="Changes nothing: no model depends on another.")


class UnloadRequest(BaseModel):
    """How to unload a model; the body may be left out."""

    parameters: UnloadParameters | None = None


class PromoteRequest(BaseModel):
    """Which version is to answer where a request names none."""

    version: str | int = Field(examples=["1"])


class DefaultChange(BaseModel):
    """Which version answers now where a request names none, and which one did before."""

    name: str = Field(examples=["digits"])
    version: str = Field(examples=["3"])
    previous: str | None = Field(description="Null if none did.", examples=["4"])


REQUESTS = (IndexRequest, LoadRequest, UnloadRequest, PromoteRequest)
"""Bodies that the framework does not parse, and so can't describe by itself."""


def _body(model: type[BaseModel], example: Json, *, required: bool = False) -> dict[str, Any]:
    """A request's body as the OpenAPI document has it."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}
    }


@router.post("/v2/repository/index", openapi_extra=_body(IndexRequest, {}))
async def index(request: Request, models: Models) -> list[IndexEntry]:
    """Every version in the store, whether it answers, and why not."""
    document = await _read_document(request)
    only_ready = read_flag(document.get("ready"), "ready", default=False)
    return [
        IndexEntry(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        for entry in models.index()
        if entry.state == "READY" or not only_ready
    ]


@router.post(f"{MODEL}/load", openapi_extra=_body(LoadRequest, {}), response_class=Response)
async def load(request: Request, models: ControlledModels, model: ModelName) -> Response:
    """Load what the version policy wants of a model, and try again what failed; answered when the model answers."""
    parameters = read_object((await _read_document(request)).get("parameters"), "parameters")
    for key in parameters:
        if key != "config":
            raise InvalidRequest(f"parameters.{key}: expected config alone, models come only from the store")
    config = parameters.get("config")
    policy = None if config is None else read_version_policy(read_string(config, "parameters.config"), model)
    await models.load(model, policy)
    return Response()


@router.post(
    f"{MODEL}/unload",
    openapi_extra=_body(UnloadRequest, {"parameters": {"unload_dependents": False}}),
    response_class=Response,
)
async def unload(request: Request, models: ControlledModels, model: ModelName) -> Response:
    """Let no version of a model answer until it is loaded; requests under way are answered."""
    parameters = read_object((await _read_document(request)).get("parameters"), "parameters")
    read_flag(parameters.get("unload_dependents"), "parameters.unload_dependents", default=False)
    await models.unload(model)
    return Response()


@router.post(f"{MODEL}/promote", openapi_extra=_body(PromoteRequest, {"version": "1"}, required=True))
async def promote(request: Request, models: ControlledModels, model: ModelName) -> DefaultChange:
    """Let a version answer where a request names none; it is loaded and tested first, and the store remembers it."""
    version = (await _read_document(request)).get("version")
    if not isinstance(version, str | int) or isinstance(version, bool):
        raise complaint("version", "the number of a version", version)
    return _change(await models.promote(model, str(version)))


@router.post(f"{MODEL}/rollback")
async def rollback(models: ControlledModels, model: ModelName) -> DefaultChange:
    """Let the version answer again that was the default before the last promotion."""
    return _change(await models.roll_back(model))


@router.delete(f"{MODEL}/default")
async def unpin(models: ControlledModels, model: ModelName) -> DefaultChange:
    """Let the highest version answer again, whichever comes; forget what was promoted."""
    return _change(await models.unpin(model))


async def _read_document(request: Request) -> dict[str, Json]:
    """The JSON object of a body; an empty body is an empty object."""
    headers = pick_headers(request.scope["headers"], BODY_HEADERS)
    body = await read_body(request.receive, headers, limit=request.app.state.settings.max_request_bytes)
    document = parse_json(body) if body else {}
    if not isinstance(document, dict):
        raise complaint("request", "an object", document)
    return document


def _change(promotion: Promotion) -> DefaultChange:
    return DefaultChange(name=promotion.name, version=promotion.version, previous=promotion.previous)
