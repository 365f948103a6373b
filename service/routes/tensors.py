"""This module describes bodies that hold tensors, for the OpenAPI document alone: nothing is parsed into these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from models.datatypes import Datatype
from service.routes.json_part import HEADER_LENGTH_NAME

BINARY_CONTENT = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
"""A body of the binary tensor extension."""

HEADER_LENGTH_PARAMETER = {
    "name": HEADER_LENGTH_NAME,
    "in": "header",
    "required": False,
    "description": "Bytes of JSON before the binary tensors; 0 for a body that is a tensor.",
    "schema": {"type": "integer", "minimum": 0},
}

# fmt: off
A_THREE = [
    0, 0,  7, 15, 13,  1, 0, 0,
    0, 8, 13,  6, 15,  4, 0, 0,
    0, 2,  1, 13, 13,  0, 0, 0,
    0, 0,  2, 15, 11,  1, 0, 0,
    0, 0,  0,  1, 12, 12, 1, 0,
    0, 0,  0,  0,  1, 10, 8, 0,
    0, 0,  8,  4,  5, 14, 9, 0,
    0, 0,  7, 13, 13,  9, 0, 0,
]
# fmt: on
EXAMPLE = {"inputs": [{"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": A_THREE}]}
"""A request that the committed bundle ``digits`` answers: try it out."""


class InputTensor(BaseModel):
    """One input: with ``data``, or with ``parameters.binary_data_size`` and its bytes behind the JSON."""

    name: str = Field(examples=["image"])
    shape: list[int] = Field(examples=[[1, 1, 8, 8]])
    datatype: Datatype
    data: list[Any] | None = Field(default=None, description="Numbers, row by row, nested or flat.")
    parameters: dict[str, Any] | None = Field(default=None, examples=[{"binary_data_size": 256}])


class OutputRequest(BaseModel):
    """One output that is wanted."""

    name: str = Field(examples=["logits"])
    parameters: dict[str, Any] | None = Field(default=None, examples=[{"binary_data": True}])


class InferRequest(BaseModel):
    """Rows for a model."""

    id: str | None = Field(default=None, description="Given back in the answer.")
    parameters: dict[str, Any] | None = Field(default=None, examples=[{"binary_data_output": False}])
    inputs: list[InputTensor]
    outputs: list[OutputRequest] | None = Field(default=None, description="All outputs, where left out.")


class OutputTensor(BaseModel):
    """One output: with flat ``data``, or with ``parameters.binary_data_size`` and its bytes behind the JSON."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    """What a model gave."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
