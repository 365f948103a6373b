"""This module answers whether the server lives, and whether it and its models can answer."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from service.errors import NotReady
from service.inference.served_model import ServedModel
from service.routes.dependencies import DefaultVersion, Models, NamedVersion

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process answers."""

    live: bool


class Ready(BaseModel):
    """At least one model answers."""

    ready: bool


class ModelReady(BaseModel):
    """This model answers."""

    name: str
    ready: bool


async def expect_no_end(request: Request) -> None:
    """See that the server goes on.

    Raises:
        NotReady: If it was told to stop: it answers, but wants no new traffic.
    """
    if request.app.state.lifecycle.stopping:
        raise NotReady("the server is stopping")


GOES_ON = Depends(expect_no_end)


@router.get("/v2/health/live")
async def live() -> Live:
    """Whether the process answers at all."""
    return Live(live=True)


@router.get("/v2/health/ready", dependencies=[GOES_ON])
async def ready(models: Models) -> Ready:
    """Whether the store was read and at least one model of it can answer; 503 if not."""
    if not models.loaded.is_set():
        raise NotReady("the store is still being loaded")
    if not models.index():
        raise NotReady(
            "the store holds no model: it is empty, or not there; what is published to it is served within seconds"
        )
    if not models.served():
        raise NotReady("the store holds no model that can be served; POST /v2/repository/index says why")
    return Ready(ready=True)


@router.get("/v2/models/{model}/ready", dependencies=[GOES_ON])
async def model_ready(served: DefaultVersion) -> ModelReady:
    """Whether the model's default version can answer; 503 if not."""
    return _model_ready(served)


@router.get("/v2/models/{model}/versions/{version}/ready", dependencies=[GOES_ON])
async def version_ready(served: NamedVersion) -> ModelReady:
    """Whether this version can answer; 503 if not."""
    return _model_ready(served)


def _model_ready(served: ServedModel) -> ModelReady:
    return ModelReady(name=served.name, ready=True)
