import json

import pytest

from models.store import Store
from tests.drafts import draft
from tests.service.running import Service, in_process

INDEX = "/v2/repository/index"

READY = [
    {"name": "plain", "version": "1", "state": "READY", "reason": ""},
    {"name": "tiny", "version": "1", "state": "READY", "reason": ""},
    {"name": "tiny", "version": "2", "state": "READY", "reason": ""},
]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": false}', b'{"ready": null}', b'{"unknown": 1}'])
def test_every_version_is_listed(service: Service, body: bytes) -> None:
    expected = READY

    response = service.post(INDEX, content=body)

    broken, *others = response.json()
    assert (response.status_code, others) == (200, expected)
    assert (broken["name"], broken["version"], broken["state"]) == ("broken", "1", "UNAVAILABLE")
    assert broken["reason"].startswith("model.onnx: expected ")


def test_an_entry_has_the_fields_of_the_protocol_in_their_order(service: Service) -> None:
    expected = ["name", "version", "state", "reason"]

    response = service.post(INDEX)

    assert [list(entry) for entry in response.json()] == [expected] * 4


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/octet-stream", "x"])
def test_only_what_answers_is_listed_whatever_the_content_type(service: Service, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = service.post(INDEX, content=json.dumps({"ready": True}), headers=headers)

    assert (response.status_code, response.json()) == (200, READY)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"ready", "request: expected JSON"),
        (b"\xff", "request: expected JSON in UTF-8"),
        (b"{", "request: expected JSON"),
        (b"[]", "request: expected an object, got []"),
        (b"null", "request: expected an object, got null"),
        (b'{"ready": 1}', "ready: expected true or false, got 1"),
        (b'{"ready": "true"}', 'ready: expected true or false, got "true"'),
        (b"[" * 100_000, "request: expected JSON"),
    ],
)
def test_a_body_of_something_else_is_refused(service: Service, body: bytes, message: str) -> None:
    expected = message

    response = service.post(INDEX, content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(expected)


def test_a_body_beyond_the_limit_is_refused(store: Store) -> None:
    store.publish(draft())
    body = b'{"ready": true}' + b" " * 100

    with in_process(store.root, max_request_bytes=100) as service:
        response = service.post(INDEX, content=body)

    assert response.status_code == 413
    assert list(response.json()) == ["error"]


def test_an_empty_store_lists_nothing(empty_service: Service) -> None:
    expected: list[object] = []

    response = empty_service.post(INDEX)

    assert (response.status_code, response.json()) == (200, expected)
