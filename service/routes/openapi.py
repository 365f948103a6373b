"""This module writes the OpenAPI document: what the framework knows of its routes, and the inference endpoint.

The endpoint is dispatched before the framework, so the framework can't describe it; ``tensors.py`` does. Bodies that
routes read by themselves are described beside these routes.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.routes import recalibration, repository
from service.routes.errors import ErrorBody
from service.routes.json_part import HEADER_LENGTH_NAME
from service.routes.tensors import BINARY_CONTENT, EXAMPLE, HEADER_LENGTH_PARAMETER, InferRequest, InferResponse

DESCRIPTION = """\
Serves networks trained with batch normalization by the
[Open Inference Protocol](https://github.com/kserve/open-inference-protocol), and reports what every normalization
layer was trained on, what it sees now, and what it saw. Every answer that is no success is `{"error": "..."}`.
"""

INFER_DESCRIPTION = f"""\
Runs a model on rows. Tensors are sent and answered as JSON numbers, or as bytes by the binary tensor extension: the
JSON comes first, its length in the header `{HEADER_LENGTH_NAME}`, then each binary tensor's bytes, little-endian, row
by row, without padding. With a length of 0 the body is the one input's bytes alone. Bodies may be compressed, with gzip
or deflate. The content type of a request is not looked at.
"""

DESCRIBED = (InferRequest, InferResponse, ErrorBody, *repository.REQUESTS, *recalibration.REQUESTS)
"""Bodies that no route of the framework takes or gives."""

TAGS = [
    {"name": "inference", "description": "Rows in, answers out."},
    {"name": "normalization", "description": "What every normalization layer is, was trained on, and sees."},
    {"name": "metadata", "description": "What serves, and what its models take and give."},
    {"name": "health", "description": "Whether the server and its models answer."},
    {"name": "repository", "description": "What is in the store, and which of it answers."},
    {"name": "metrics", "description": "What the service counts."},
]


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made anew at each call."""
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS, servers=app.servers
    )
    models = [(model, "validation") for model in DESCRIBED]
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
    request = _content("InferRequest") | BINARY_CONTENT
    request["application/json"]["example"] = EXAMPLE
    return {
        "tags": ["inference"],
        "operationId": name,
        "summary": summary,
        "description": INFER_DESCRIPTION,
        "parameters": [*parameters, HEADER_LENGTH_PARAMETER],
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {
                "description": "The outputs.",
                "content": _content("InferResponse") | BINARY_CONTENT,
            },
            "default": {"description": "What was wrong.", "content": _content("ErrorBody")},
        },
    }


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
