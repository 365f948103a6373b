"""This module writes the OpenAPI document: what the framework knows of its routes, and the inference endpoint.

The endpoint is dispatched before the framework, so the framework can't describe it; the models below do, and nothing
else uses them. Bodies that routes read by themselves are described beside these routes.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from models.datatypes import Datatype
from service.routes.errors import ErrorBody
from service.routes.inference import HEADER_LENGTH
from service.routes.repository import REQUESTS

DESCRIPTION = """\
Serves networks trained with batch normalization by the
[Open Inference Protocol](https://github.com/kserve/open-inference-protocol), and reports what every normalization
layer was trained on. Every answer that is no success is `{"error": "..."}`.
"""

INFER_DESCRIPTION = f"""\
Runs a model on rows. Tensors are sent and answered as JSON numbers, or as bytes by the binary tensor extension: the
JSON comes first, its length in the header `{HEADER_LENGTH}`, then each binary tensor's bytes, little-endian, row by
row, without padding. With a length of 0 the body is the one input's bytes alone. Bodies may be compressed, with gzip or
deflate. The content type of a request is not looked at.
"""


TAGS = [
    {"name": "inference", "description": "Rows in, answers out."},
    {"name": "normalization", "description": "What every normalization layer is, and what it was trained on."},
    {"name": "metadata", "description": "What serves, and what its models take and give."},
    {"name": "health", "description": "Whether the server and its models answer."},
    {"name": "repository", "description": "What is in the store, and which of it answers."},
    {"name": "metrics", "description": "What the service counts."},
]

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


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made anew at each call."""
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS, servers=app.servers
    )
    models = [(model, "validation") for model in (InferRequest, InferResponse, ErrorBody, *REQUESTS)]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    document.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    unversioned, versioned = "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"
    document["paths"][unversioned] = {"post": _infer_operation("infer", "Infer", ["model"])}
    document["paths"][versioned] = {"post": _infer_operation("version_infer", "Version Infer", ["model", "version"])}
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        _prefill(operation.get("parameters", []))
    return document


def _prefill(parameters: list[dict[str, Any]]) -> None:
    """Give each part of a path an example of its own: a page's form is filled from it, not from the schema's."""
    for parameter in parameters:
        if parameter["in"] == "path" and (examples := parameter["schema"].get("examples")):
            parameter["example"] = examples[0]


def _infer_operation(name: str, summary: str, path_parameters: list[str]) -> dict[str, Any]:
    examples = {"model": "digits", "version": "1"}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "examples": [examples[name]]}}
        for name in path_parameters
    ]
    header = {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "Bytes of JSON before the binary tensors; 0 for a body that is a tensor.",
        "schema": {"type": "integer", "minimum": 0},
    }
    request = _content("InferRequest") | {_BINARY: {"schema": _BYTES}}
    request["application/json"]["example"] = EXAMPLE
    return {
        "tags": ["inference"],
        "operationId": name,
        "summary": summary,
        "description": INFER_DESCRIPTION,
        "parameters": [*parameters, header],
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {
                "description": "The outputs.",
                "content": _content("InferResponse") | {_BINARY: {"schema": _BYTES}},
            },
            "default": {"description": "What was wrong.", "content": _content("ErrorBody")},
        },
    }


_BINARY = "application/octet-stream"
_BYTES = {"type": "string", "format": "binary"}


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
