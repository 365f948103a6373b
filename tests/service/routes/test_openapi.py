import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.running import Service

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(service: Service) -> Document:
    """The OpenAPI document."""
    parsed: Document = service.get("/openapi.json").json()
    return parsed


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every path, method and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(part: object) -> Iterator[str]:
    """Every ``$ref``, at any depth."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_endpoint_is_described(document: Document) -> None:
    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"

    described = {(path, method) for path, method, _ in operations(document)}

    assert described == {
        ("/v2", "get"),
        ("/v2/health/live", "get"),
        ("/v2/health/ready", "get"),
        ("/v2/models", "get"),
        *((base, "get") for base in (model, version)),
        *((f"{base}/ready", "get") for base in (model, version)),
        *((f"{base}/config", "get") for base in (model, version)),
        *((f"{base}/stats", "get") for base in ("/v2/models", model, version)),
        *((f"{base}/infer", "post") for base in (model, version)),
        *((f"{base}/normalization", "get") for base in (model, version)),
        *((f"{base}/normalization/layers/{{layer}}", "get") for base in (model, version)),
        *((f"{base}/normalization/history", "get") for base in (model, version)),
        *((f"{base}/normalization/recalibrate", "post") for base in (model, version)),
        *((f"{base}/normalization/reset", "post") for base in (model, version)),
        ("/v2/repository/index", "post"),
        *((f"/v2/repository/models/{{model}}/{verb}", "post") for verb in ("load", "unload", "promote", "rollback")),
        ("/v2/repository/models/{model}/default", "delete"),
        ("/metrics", "get"),
    }


def test_every_reference_leads_somewhere(document: Document) -> None:
    schemas = document["components"]["schemas"]

    targets = set(references(document))

    assert targets
    assert targets <= {f"#/components/schemas/{name}" for name in schemas}


def test_every_schema_is_referred_to(document: Document) -> None:
    targets = set(references(document))

    names = document["components"]["schemas"].keys()

    assert {f"#/components/schemas/{name}" for name in names} == targets


def test_the_document_is_of_a_known_version(document: Document) -> None:
    version = document["openapi"]

    title, parts = document["info"]["title"], version.split(".")

    assert title == "bnserve"
    assert parts[:2] == ["3", "1"]


def test_operations_have_names_of_their_own(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]

    unique = set(names)

    assert len(unique) == len(names)


def test_every_operation_has_a_tag_a_summary_and_a_description(document: Document) -> None:
    wanted = ("tags", "summary", "description")

    lacking = [path for path, _, operation in operations(document) if not all(operation.get(key) for key in wanted)]

    assert lacking == []


def test_every_part_of_a_path_is_a_parameter(document: Document) -> None:
    in_paths = {path: set(re.findall(r"{(\w+)}", path)) for path in document["paths"]}

    declared = {
        path: {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path" and each["required"]}
        for path, _, operation in operations(document)
    }

    assert declared == in_paths


def test_every_part_of_a_path_has_an_example_that_a_form_is_filled_from(document: Document) -> None:
    """Pages take the parameter's own ``example``; the ``examples`` of its schema they only show."""
    parameters = [each for _, _, operation in operations(document) for each in operation.get("parameters", ())]

    examples = {(each["name"], each.get("example")) for each in parameters if each["in"] == "path"}

    assert examples == {("model", "digits"), ("version", "1"), ("layer", "features.1")}


def test_every_response_is_described_and_every_error_is_the_same(document: Document) -> None:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}

    responses = [operation["responses"] for _, _, operation in operations(document)]

    assert all(each["description"] for response in responses for each in response.values())
    assert all(response.keys() == {"200", "default"} for response in responses)
    assert all(response["default"]["content"] == error for response in responses)


@pytest.mark.parametrize("path", ["/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"])
def test_inference_takes_and_gives_json_or_bytes(document: Document, path: str) -> None:
    operation = document["paths"][path]["post"]

    taken, given = operation["requestBody"]["content"], operation["responses"]["200"]["content"]

    assert taken["application/json"]["schema"]["$ref"].endswith("/InferRequest")
    assert given["application/json"]["schema"]["$ref"].endswith("/InferResponse")
    assert taken["application/octet-stream"] == given["application/octet-stream"]


@pytest.mark.parametrize("of", ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"])
def test_recalibration_takes_json_or_bytes(document: Document, of: str) -> None:
    operation = document["paths"][f"{of}/normalization/recalibrate"]["post"]

    body, headers = (
        operation["requestBody"],
        [each["name"] for each in operation["parameters"] if each["in"] == "header"],
    )

    assert body["required"] is False
    assert body["content"]["application/json"]["schema"]["$ref"].endswith("/RecalibrateRequest")
    assert "application/octet-stream" in body["content"]
    assert headers == ["Inference-Header-Content-Length"]


def test_the_document_is_the_same_each_time(service: Service) -> None:
    first = service.get("/openapi.json").content

    second = service.get("/openapi.json").content

    assert first == second
