"""What happens where more is asked than can be answered: over the slow model, whose every run takes a while."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from models.store import Store
from tests.service.running import Server, Service, in_process, over_socket
from tests.service.wire import Sent, body_of
from tests.slow import slow_draft

INFER = "/v2/models/slow/infer"
TURNS = 20
"""A run takes some tenths of a second."""


@pytest.fixture(scope="module")
def slow_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("slow"))
    store.publish(slow_draft(turns=TURNS))
    return store


@pytest.fixture
def slow_service(slow_store: Store) -> Iterator[Service]:
    with in_process(slow_store.root, max_batch_rows=1, max_queue_requests=2, warm_up_s=0) as running:
        yield running


def body(rows: int = 1, **fields: object) -> bytes:
    return body_of([Sent("x", "FP32", np.ones((rows, 4), np.float32))], **fields)[0]


def post() -> dict[str, Any]:
    return {"method": "POST", "url": INFER, "content": body()}


def statistics(service: Service) -> dict[str, Any]:
    (found,) = service.get("/v2/models/slow/stats").json()["model_stats"]
    return dict(found)


def test_a_full_queue_is_refused_with_429_and_when_to_come_back(slow_service: Service) -> None:
    requests = [post() for _ in range(8)]

    answers = slow_service.at_once(requests)

    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused[0].json() == {"error": "expected at most 2 requests that wait for this model, got one more"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_a_setting_answers_503_for_clients_that_know_no_429(slow_store: Store) -> None:
    with in_process(slow_store.root, max_batch_rows=1, max_queue_requests=1, queue_full_status="503") as service:
        answers = service.at_once([post() for _ in range(6)])

    assert {answer.status_code for answer in answers} == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)


def test_requests_that_wait_share_a_run(slow_store: Store) -> None:
    with in_process(slow_store.root, max_batch_rows=4, warm_up_s=20) as service:
        answers = service.at_once([post() for _ in range(8)])

        assert {answer.status_code for answer in answers} == {200}
        found = statistics(service)
    assert found["inference_count"] == 8
    assert found["execution_count"] < 8  # how many wait for the first run depends on how fast they arrive


def test_a_request_says_within_how_many_microseconds_it_wants_its_answer(slow_service: Service) -> None:
    started = time.perf_counter()

    answer = slow_service.post(INFER, content=body(parameters={"timeout": 5000}))

    assert time.perf_counter() - started < TURNS / 1000 + 5
    sentence = "parameters.timeout: expected an answer within 5000 us, got none yet"
    assert (answer.status_code, answer.json()) == (504, {"error": sentence})


def test_the_server_gives_up_too(slow_store: Store) -> None:
    with in_process(slow_store.root, request_timeout_ms=5, warm_up_s=0) as service:
        answer = service.post(INFER, content=body())

    sentence = "request_timeout_ms: expected an answer within 5 ms, got none yet"
    assert (answer.status_code, answer.json()) == (504, {"error": sentence})


def test_a_request_can_not_ask_for_more_time_than_the_server_gives(slow_store: Store) -> None:
    with in_process(slow_store.root, request_timeout_ms=5, warm_up_s=0) as service:
        answer = service.post(INFER, content=body(parameters={"timeout": 60_000_000}))

    sentence = "request_timeout_ms: expected an answer within 5 ms, got none yet"
    assert (answer.status_code, answer.json()) == (504, {"error": sentence})


def test_more_bytes_than_may_be_held_at_once_are_refused(slow_store: Store) -> None:
    with in_process(slow_store.root, max_pending_bytes=2 * len(body()) + 10, warm_up_s=0) as service:
        answers = service.at_once([post() for _ in range(4)])
        later = service.post(INFER, content=body())

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
    assert later.status_code == 200


def test_more_json_than_is_taken_is_refused(slow_store: Store) -> None:
    with in_process(slow_store.root, max_json_bytes=200, warm_up_s=0) as service:
        small, large = service.post(INFER, content=body()), service.post(INFER, content=body(rows=50))

    assert (small.status_code, large.status_code) == (200, 413)
    assert large.json()["error"].startswith("request: expected at most 200 bytes of JSON, got ")


@pytest.fixture
def slow_server(store: Store, tmp_path: Path) -> Iterator[Server]:
    """The command with a model slow enough for clients to go, and to be missed, while a run is under way."""
    store.publish(slow_draft(turns=5 * TURNS))
    flags = ["--max-batch-rows", "1", "--warm-up-s", "0"]
    with over_socket(store.root, tmp_path / "log", *flags) as server:
        server.wait_until_ready()
        yield server


def test_rows_of_a_client_that_has_gone_are_not_run(slow_server: Server) -> None:
    host, port = slow_server.address.split(":")
    head = f"POST {INFER} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body())}\r\n\r\n".encode()
    connections = [socket.create_connection((host, int(port))) for _ in range(4)]
    for connection in connections:  # the first one's run begins, the others wait
        connection.sendall(head + body())

    for connection in connections[1:]:
        connection.close()

    with connections[0] as first:
        assert first.recv(12) == b"HTTP/1.1 200"
    with httpx.Client(base_url=slow_server.url) as client:
        assert client.post(INFER, content=body()).status_code == 200
        (found,) = client.get("/v2/models/slow/stats").json()["model_stats"]
        metrics = client.get("/metrics").text
    assert found["execution_count"] == 2
    assert 'bnserve_inference_requests_total{model="slow",status="499",version="1"} 3.0' in metrics


def test_a_body_that_does_not_come_is_not_waited_for_longer_than_a_request_may_take(
    slow_store: Store, tmp_path: Path
) -> None:
    flags = ["--request-timeout-ms", "200", "--warm-up-s", "0"]
    with over_socket(slow_store.root, tmp_path / "log", *flags) as server:
        server.wait_until_ready()
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n{{".encode())

            answer = connection.recv(12)

    assert answer == b"HTTP/1.1 504"
