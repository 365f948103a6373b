import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.pins import DEFAULT_FILE
from models.store import Store
from tests.drafts import draft
from tests.service.running import Service, in_process

TINY = "/v2/repository/models/tiny"
EMPTY_BODIES = [b"", b"{}", b'{"parameters": {}}', b'{"parameters": null}', b'{"unknown": 1}']
NO_OBJECT = [
    (b"load", "request: expected JSON"),
    (b"[]", "request: expected an object, got []"),
    (b'{"parameters": 1}', "parameters: expected an object, got 1"),
]


@pytest.fixture
def controlled(store: Store) -> Iterator[Service]:
    """The service on versions 1 to 3 of ``tiny``, of which 2 and 3 are loaded."""
    for bias in range(3):
        store.publish(draft(bias=float(bias)))
    with in_process(store.root) as service:
        yield service


def versions(service: Service) -> list[str]:
    """Which versions answer."""
    entries = service.post("/v2/repository/index", json={"ready": True}).json()
    return [entry["version"] for entry in entries]


def default_of(service: Service) -> str:
    """Which version answers where a request names none."""
    row = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0, 0, 0, 0]}
    return str(service.post("/v2/models/tiny/infer", json={"inputs": [row]}).json()["model_version"])


@pytest.mark.parametrize("body", EMPTY_BODIES)
def test_a_model_is_unloaded_and_loaded_with_empty_answers(controlled: Service, body: bytes) -> None:
    unloaded = controlled.post(f"{TINY}/unload", content=body)
    between = versions(controlled)
    loaded = controlled.post(f"{TINY}/load", content=body)

    answers = [(response.status_code, response.content) for response in (unloaded, loaded)]

    assert answers == [(200, b""), (200, b"")]
    assert (between, versions(controlled)) == ([], ["2", "3"])


def test_an_unloaded_model_is_listed_and_refused(controlled: Service) -> None:
    controlled.post(f"{TINY}/unload", json={"parameters": {"unload_dependents": True}})

    index, ready = controlled.post("/v2/repository/index"), controlled.get("/v2/models/tiny/ready")

    assert {(entry["state"], entry["reason"]) for entry in index.json()} == {("UNAVAILABLE", "unloaded")}
    assert ready.status_code == 503
    assert controlled.get("/v2/models").json() == {"models": []}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"all": {}}, ["1", "2", "3"]),
        ({"latest": {"num_versions": 1}}, ["3"]),
        ({"specific": {"versions": [1, 2]}}, ["1", "2"]),
    ],
)
def test_a_model_is_loaded_by_the_policy_of_the_request(
    controlled: Service, policy: dict[str, Any], expected: list[str]
) -> None:
    body = {"parameters": {"config": json.dumps({"name": "tiny", "version_policy": policy})}}

    response = controlled.post(f"{TINY}/load", json=body)

    assert (response.status_code, response.content) == (200, b"")
    assert versions(controlled) == expected
    assert controlled.get("/v2/models/tiny/config").json()["version_policy"] == policy


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *NO_OBJECT,
        (b'{"parameters": {"config": 1}}', "parameters.config: expected a string, got 1"),
        (b'{"parameters": {"config": "{"}}', "parameters.config: expected JSON, got something else at line 1 column 2"),
        (b'{"parameters": {"config": "{\\"backend\\": \\"x\\"}"}}', "parameters.config.backend: expected name or "),
        (
            b'{"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}',
            "parameters.file:1/model.onnx: expected config alone, models come only from the store",
        ),
    ],
)
def test_what_can_not_be_loaded_so_is_refused(controlled: Service, body: bytes, message: str) -> None:
    expected = message

    response = controlled.post(f"{TINY}/load", content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *NO_OBJECT,
        (
            b'{"parameters": {"unload_dependents": 1}}',
            "parameters.unload_dependents: expected true or false, got 1",
        ),
    ],
)
def test_what_can_not_be_unloaded_so_is_refused(controlled: Service, body: bytes, message: str) -> None:
    expected = message

    response = controlled.post(f"{TINY}/unload", content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(expected)
    assert versions(controlled) == ["2", "3"]


def test_a_policy_that_lists_what_the_store_lacks_is_refused(controlled: Service) -> None:
    body = {"parameters": {"config": '{"version_policy": {"specific": {"versions": [7]}}}'}}

    response = controlled.post(f"{TINY}/load", json=body)

    assert response.status_code == 404
    assert response.json() == {"error": "model 'tiny' has no version '7'; there are: 1, 2, 3"}


@pytest.mark.parametrize("version", ["1", 1, "3"])
def test_a_version_is_promoted_by_its_number(controlled: Service, version: str | int) -> None:
    response = controlled.post(f"{TINY}/promote", json={"version": version})

    answer = response.json()

    assert (response.status_code, list(answer.items())) == (
        200,
        [("name", "tiny"), ("version", str(version)), ("previous", "3")],
    )
    assert default_of(controlled) == str(version)


def test_a_promotion_outlives_the_service(controlled: Service, store: Store) -> None:
    controlled.post(f"{TINY}/promote", json={"version": "1"})

    with in_process(store.root) as another:
        version = default_of(another)

    assert version == "1"


def test_a_promotion_is_rolled_back(controlled: Service) -> None:
    for version in ("1", "2"):
        controlled.post(f"{TINY}/promote", json={"version": version})

    answers = [controlled.post(f"{TINY}/rollback").json() for _ in range(2)]

    assert answers == [
        {"name": "tiny", "version": "1", "previous": "2"},
        {"name": "tiny", "version": "3", "previous": "1"},
    ]
    assert default_of(controlled) == "3"


def test_with_nothing_to_go_back_to_rolling_back_is_refused(controlled: Service) -> None:
    expected = {"error": "rollback: expected an earlier default of model 'tiny', got none"}

    response = controlled.post(f"{TINY}/rollback")

    assert (response.status_code, response.json()) == (409, expected)


def test_the_highest_version_answers_again(controlled: Service, store: Store) -> None:
    controlled.post(f"{TINY}/promote", json={"version": "1"})

    response = controlled.request("DELETE", f"{TINY}/default")

    assert (response.status_code, response.json()) == (200, {"name": "tiny", "version": "3", "previous": "1"})
    assert not (store.root / "tiny" / DEFAULT_FILE).exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *NO_OBJECT[:2],
        (b"", "version: expected the number of a version, got null"),
        (b"{}", "version: expected the number of a version, got null"),
        (b'{"version": true}', "version: expected the number of a version, got true"),
        (b'{"version": 1.5}', "version: expected the number of a version, got 1.5"),
        (b'{"version": ["1"]}', 'version: expected the number of a version, got ["1"]'),
    ],
)
def test_what_names_no_version_is_refused(controlled: Service, body: bytes, message: str) -> None:
    expected = message

    response = controlled.post(f"{TINY}/promote", content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(expected)


@pytest.mark.parametrize("version", ["7", "latest", 0, -1, "01"])
def test_a_version_that_the_store_lacks_is_not_found(controlled: Service, version: str | int) -> None:
    expected = {"error": f"model 'tiny' has no version {str(version)!r}; there are: 1, 2, 3"}

    response = controlled.post(f"{TINY}/promote", json={"version": version})

    assert (response.status_code, response.json()) == (404, expected)


def test_a_store_that_can_not_be_written_is_told(controlled: Service, store: Store) -> None:
    (store.root / "tiny" / DEFAULT_FILE).mkdir()

    response = controlled.post(f"{TINY}/promote", json={"version": "1"})

    assert response.status_code == 503
    assert response.json()["error"].startswith("tiny/default: expected a file that can be written: ")
    assert default_of(controlled) == "3"


CONTROLS = [
    ("POST", "load", b""),
    ("POST", "unload", b""),
    ("POST", "promote", b'{"version": "2"}'),
    ("POST", "rollback", b""),
    ("DELETE", "default", b""),
]


@pytest.mark.parametrize(("method", "verb", "body"), CONTROLS)
@pytest.mark.parametrize("name", ["huge", "..%2ftiny", "%20", ".tiny"])
def test_a_model_that_the_store_lacks_is_not_found(
    controlled: Service, method: str, verb: str, body: bytes, name: str
) -> None:
    path = f"/v2/repository/models/{name}/{verb}"

    response = controlled.request(method, path, content=body)

    assert response.status_code == 404
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(("method", "verb", "body"), CONTROLS)
def test_where_clients_may_change_nothing_they_are_refused(store: Store, method: str, verb: str, body: bytes) -> None:
    for _ in range(2):
        store.publish(draft())
    store.pin_version("tiny", 1, answered=2)

    with in_process(store.root, repository_control=False) as service:
        response = service.request(method, f"{TINY}/{verb}", content=body)
        after = (versions(service), default_of(service))

    assert response.status_code == 403
    assert response.json()["error"].startswith("repository_control: expected true")
    assert after == (["1", "2"], "1")
    assert store.pins("tiny") == (1, 2)


def test_what_one_process_is_asked_for_another_one_does(controlled: Service, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "control"
    folder.mkdir()
    assert versions(controlled) == ["2", "3"]

    with (
        in_process(store.root, shared=folder) as one,
        in_process(store.root, shared=folder) as other,
    ):
        one.post(f"{TINY}/unload")
        other.refresh()
        seen = (versions(one), versions(other))

    assert seen == ([], [])
    assert versions(controlled) == ["2", "3"]


@pytest.mark.parametrize("verb", ["load", "unload", "promote"])
def test_a_body_beyond_the_limit_is_refused(store: Store, verb: str) -> None:
    store.publish(draft())

    with in_process(store.root, max_request_bytes=100) as service:
        response = service.post(f"{TINY}/{verb}", content=b"{}" + b" " * 100)

    assert response.status_code == 413
    assert list(response.json()) == ["error"]
