"""This module describes the server and its models."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.datatypes import Datatype
from models.manifest import TensorRecord
from service.inference.model_config import PLATFORM
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from service.routes.dependencies import DefaultVersion, Models, NamedVersion

NAME = "bnserve"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "statistics",
    "normalization",
)
"""Those of Triton, and one of our own."""

router = APIRouter(tags=["metadata"])


class ServerMetadata(BaseModel):
    """What serves, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """One input or output; -1 stands for a size that varies."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str] = Field(description="Versions that answer; only the one asked for, if one was.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] = Field(
        description="Where it really runs, where it was asked to, and on how many threads; which version of the model "
        "answers where a request names none, and which one is pinned to do so: none, if the highest does.",
        examples=[
            {
                "device": "cpu",
                "requested_device": "auto",
                "threads": "2",
                "default_version": "1",
                "pinned_version": "none",
            }
        ],
    )


class ModelList(BaseModel):
    """Names of the models that answer."""

    models: list[str]


@router.get("/v2/", include_in_schema=False)
@router.get("/v2")
async def server_metadata() -> ServerMetadata:
    """What serves."""
    return ServerMetadata(name=NAME, version=metadata.version(NAME), extensions=list(EXTENSIONS))


@router.get("/v2/models")
async def model_list(models: Models) -> ModelList:
    """Which models answer."""
    return ModelList(models=sorted({served.name for served in models.served()}))


@router.get("/v2/models/{model}")
async def model_metadata(served: DefaultVersion, models: Models) -> ModelMetadata:
    """What the model's default version takes and gives."""
    return _describe(served, models, models.ready_versions(served.name))


@router.get("/v2/models/{model}/versions/{version}")
async def version_metadata(served: NamedVersion, models: Models) -> ModelMetadata:
    """What this version takes and gives."""
    return _describe(served, models, [served.version])


def _describe(served: ServedModel, models: Registry, versions: list[str]) -> ModelMetadata:
    default, pin = models.default(served.name), models.pin(served.name)
    return ModelMetadata(
        name=served.name,
        versions=versions,
        platform=PLATFORM,
        inputs=[_tensor(record) for record in served.manifest.inputs],
        outputs=[_tensor(record) for record in served.manifest.outputs],
        properties={
            "device": served.device,
            "requested_device": served.requested_device,
            "threads": str(served.threads),
            "default_version": "none" if default is None else str(default),
            "pinned_version": "none" if pin is None else str(pin),
        },
    )


def _tensor(record: TensorRecord) -> TensorMetadata:
    return TensorMetadata(name=record.name, datatype=record.datatype, shape=list(record.shape))
