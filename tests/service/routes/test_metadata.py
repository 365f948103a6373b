from importlib.metadata import version

import pytest

from models.bundle import MODEL_FILE
from models.store import Store
from tests.drafts import draft
from tests.service.running import Service, in_process

INPUTS = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
OUTPUTS = [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}]


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_says_what_it_is(service: Service, path: str) -> None:
    expected = {
        "name": "bnserve",
        "version": version("bnserve"),
        "extensions": [
            "binary_tensor_data",
            "classification",
            "model_configuration",
            "model_repository",
            "model_repository(unload_dependents)",
            "schedule_policy",
            "statistics",
            "normalization",
        ],
    }

    response = service.get(path)

    assert (response.status_code, response.json()) == (200, expected)


def test_models_that_answer_are_listed(service: Service) -> None:
    expected = ["plain", "tiny"]

    response = service.get("/v2/models")

    assert (response.status_code, response.json()) == (200, {"models": expected})


def test_an_empty_store_has_no_models(empty_service: Service) -> None:
    expected: list[str] = []

    response = empty_service.get("/v2/models")

    assert (response.status_code, response.json()) == (200, {"models": expected})


@pytest.mark.parametrize(
    ("path", "name", "versions"),
    [
        ("/v2/models/tiny", "tiny", ["1", "2"]),
        ("/v2/models/tiny/versions/1", "tiny", ["1"]),
        ("/v2/models/tiny/versions/2", "tiny", ["2"]),
        ("/v2/models/plain", "plain", ["1"]),
    ],
)
def test_a_model_says_what_it_takes_and_gives(service: Service, path: str, name: str, versions: list[str]) -> None:
    platform = "onnxruntime_onnx"

    response = service.get(path)

    assert response.status_code == 200
    assert list(response.json().items()) == [
        ("name", name),
        ("versions", versions),
        ("platform", platform),
        ("inputs", INPUTS),
        ("outputs", OUTPUTS),
        (
            "properties",
            {
                "device": "cpu",
                "requested_device": "cpu",
                "threads": "1",
                "default_version": "2" if name == "tiny" else "1",
                "pinned_version": "none",
            },
        ),
    ]


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_which_version_answers_and_which_is_pinned_can_be_read(tiny: Store, path: str) -> None:
    """Both, since a version that is pinned and can't be served leaves the default as it was."""
    tiny.publish(draft())
    with in_process(tiny.root) as service:
        seen = [defaults(service, path)]
        tiny.pin_version("tiny", 1)
        service.refresh()
        seen.append(defaults(service, path))
        pin_what_is_damaged(tiny)
        service.refresh()
        seen.append(defaults(service, path))

    assert seen == [("2", "none"), ("1", "1"), ("1", "3")]


def defaults(service: Service, path: str) -> tuple[str, str]:
    properties = service.get(path).json()["properties"]
    return properties["default_version"], properties["pinned_version"]


def pin_what_is_damaged(store: Store) -> None:
    (store.publish(draft()).path / MODEL_FILE).write_bytes(b"")
    store.pin_version("tiny", 3)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v2/models/unknown", 404, "model 'unknown' is not known; there are: broken, plain, tiny"),
        ("/v2/models/unknown/versions/1", 404, "model 'unknown' is not known; there are: broken, plain, tiny"),
        ("/v2/models/tiny/versions/3", 404, "model 'tiny' has no version '3'; there are: 1, 2"),
        ("/v2/models/tiny/versions/latest", 404, "model 'tiny' has no version 'latest'; there are: 1, 2"),
        ("/v2/models/broken", 503, "model 'broken' has no version that can be served: version 1: model.onnx: "),
        ("/v2/models/broken/versions/1", 503, "model 'broken' version 1 can't be served: model.onnx: "),
    ],
)
def test_what_can_not_be_described_says_why(service: Service, path: str, status: int, message: str) -> None:
    expected = message

    response = service.get(path)

    assert response.status_code == status
    assert response.json()["error"].startswith(expected)
