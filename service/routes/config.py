"""This module answers how a model is configured, in the terms of Triton's model configuration."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.inference.model_config import model_config
from service.inference.served_model import ServedModel
from service.routes.dependencies import DefaultVersion, Limits, Models, NamedVersion

router = APIRouter(tags=["metadata"])


class TensorConfig(BaseModel):
    """One input or output; -1 stands for a size that varies."""

    name: str = Field(examples=["image"])
    data_type: str = Field(examples=["TYPE_FP32"])
    dims: list[int] = Field(description="Without the batch, unless max_batch_size is 0.", examples=[[1, 8, 8]])
    reshape: dict[str, list[int]] | None = Field(default=None, description="The real shape of one value a row.")


class InstanceGroup(BaseModel):
    """Where the model runs."""

    name: str = Field(examples=["digits"])
    kind: str = Field(examples=["KIND_CPU"])
    count: int
    gpus: list[int]


class QueuePolicy(BaseModel):
    """What becomes of requests that wait."""

    timeout_action: str = Field(examples=["REJECT"])
    default_timeout_microseconds: int = Field(description="0 for no limit.")
    allow_timeout_override: bool
    max_queue_size: int


class DynamicBatching(BaseModel):
    """How rows of several requests share runs."""

    preferred_batch_size: list[int]
    max_queue_delay_microseconds: int
    preserve_ordering: bool
    default_queue_policy: QueuePolicy


class ConfigParameter(BaseModel):
    """A value that the configuration has no field for."""

    string_value: str


class ModelConfiguration(BaseModel):
    """How a model is configured."""

    name: str = Field(examples=["digits"])
    platform: str = Field(examples=["onnxruntime_onnx"])
    backend: str = Field(examples=["onnxruntime"])
    version_policy: dict[str, dict[str, Any]] = Field(examples=[{"latest": {"num_versions": 2}}])
    max_batch_size: int = Field(description="Most rows of a run; 0 for a model whose rows are no batch.")
    input: list[TensorConfig]
    output: list[TensorConfig]
    instance_group: list[InstanceGroup]
    dynamic_batching: DynamicBatching | None = None
    parameters: dict[str, ConfigParameter] = Field(examples=[{"device": {"string_value": "cpu"}}])


@router.get("/v2/models/{model}/config", response_model_exclude_unset=True)
async def config(served: DefaultVersion, models: Models, limits: Limits) -> ModelConfiguration:
    """How the model's default version is configured."""
    return _configuration(served, models, limits)


@router.get("/v2/models/{model}/versions/{version}/config", response_model_exclude_unset=True)
async def version_config(served: NamedVersion, models: Models, limits: Limits) -> ModelConfiguration:
    """How this version is configured."""
    return _configuration(served, models, limits)


def _configuration(served: ServedModel, models: Models, limits: Limits) -> ModelConfiguration:
    policy = models.policy(served.name)
    document = model_config(served.manifest, served.device, limits, policy, batch_rows=served.rules.batch_rows)
    return ModelConfiguration.model_validate(document)
