import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from models.store import Store
from service.errors import TracingError
from service.inference.job import Outcome
from service.spans import CLOSE_S
from service.tracing import Tracer, open_tracer
from tests.service.receiver import Receiver, attributes, receiving
from tests.service.running import over_socket
from tests.service.wire import Sent, body_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    path = "/v2/models/digits/infer"
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "scheme": "http",
        "http_version": "1.1",
        "headers": list(headers),
    }


def opened(receiver: Receiver) -> Tracer:
    tracer = open_tracer(receiver.url)
    assert tracer is not None
    return tracer


def test_without_an_endpoint_there_is_no_tracer() -> None:
    endpoint = ""

    tracer = open_tracer(endpoint)

    assert tracer is None


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_an_endpoint_that_is_no_url_is_told(endpoint: str) -> None:
    message = "otlp_endpoint: expected a URL as http://127.0.0.1:4318, got "

    with pytest.raises(TracingError) as caught:
        open_tracer(endpoint)

    assert str(caught.value) == f"{message}{endpoint!r}"


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(TracingError, match=r"pip install 'bnserve\[tracing\]'"):
        open_tracer("http://127.0.0.1:4318")


def test_a_request_is_a_span_with_its_wait_and_its_run_inside() -> None:
    with receiving() as receiver:
        tracer = opened(receiver)
        span = tracer.start(scope(CLIENT), model="digits", version=None)
        span.finish(status=200, rows=3, version="2", outcome=Outcome([], 0.25, 0.5))
        tracer.close()

    spans = receiver.spans
    infer, queue, compute = (spans[name] for name in ("infer", "queue", "compute"))
    assert receiver.paths == ["/v1/traces"]
    assert (infer.kind, infer.trace_id.hex(), infer.parent_span_id.hex()) == (Span.SPAN_KIND_SERVER, TRACE, PARENT)
    assert {queue.parent_span_id, compute.parent_span_id} == {infer.span_id}
    assert (seconds(queue), seconds(compute)) == (0.25, 0.5)
    assert queue.end_time_unix_nano == compute.start_time_unix_nano
    assert compute.end_time_unix_nano == infer.end_time_unix_nano


def test_a_span_says_what_was_asked_and_what_came_of_it() -> None:
    with receiving() as receiver:
        tracer = opened(receiver)
        span = tracer.start(scope(), model="digits", version=None)
        span.finish(status=200, rows=3, version="2", outcome=Outcome([], 0.0, 0.0))
        tracer.close()

    assert attributes(iter(receiver.spans["infer"].attributes)) == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{model}/infer",
        "http.response.status_code": 200,
        "url.path": "/v2/models/digits/infer",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "bnserve.model": "digits",
        "bnserve.version": "2",
        "bnserve.rows": 3,
    }
    assert receiver.resource["service.name"] == "bnserve"


def test_a_request_that_was_not_run_has_neither_wait_nor_run() -> None:
    with receiving() as receiver:
        tracer = opened(receiver)
        tracer.start(scope(), model="digits", version="1").finish(status=429, rows=3)
        tracer.close()

    assert set(receiver.spans) == {"infer"}
    assert attributes(iter(receiver.spans["infer"].attributes))["http.route"] == (
        "/v2/models/{model}/versions/{version}/infer"
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, Status.STATUS_CODE_UNSET), (429, Status.STATUS_CODE_UNSET), (500, Status.STATUS_CODE_ERROR)],
)
def test_only_a_fault_of_the_server_is_an_error(status: int, code: int) -> None:
    with receiving() as receiver:
        tracer = opened(receiver)
        tracer.start(scope(), model="digits", version=None).finish(status=status, rows=0)
        tracer.close()

    infer = receiver.spans["infer"]
    assert infer.status.code == code
    assert ("error.type" in attributes(iter(infer.attributes))) == (code == Status.STATUS_CODE_ERROR)


def test_a_client_that_does_not_record_its_trace_is_not_recorded_here() -> None:
    with receiving() as receiver:
        tracer = opened(receiver)
        headers = (b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())
        tracer.start(scope(headers), model="digits", version=None).finish(
            status=200, rows=1, outcome=Outcome([], 0.1, 0.1)
        )
        tracer.close()

    assert receiver.spans == {}


def test_a_receiver_that_never_answers_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracer = open_tracer(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert tracer is not None
        tracer.start(scope(), model="digits", version=None).finish(status=200, rows=1)

        started = time.monotonic()
        tracer.close()
        waited_s = time.monotonic() - started

    assert waited_s < CLOSE_S + 5.0  # the exporter's own patience is ten seconds


def seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def test_requests_over_a_socket_are_spans_of_their_clients(tiny: Store, tmp_path: Path) -> None:
    body, _ = body_of([Sent("x", "FP32", np.ones((3, 4), np.float32))])
    with receiving() as receiver:
        flags = ["--otlp-endpoint", receiver.url]
        with over_socket(tiny.root, tmp_path / "log", *flags) as server:
            server.wait_until_ready()
            response = httpx.post(
                f"{server.url}/v2/models/tiny/infer", content=body, headers={"traceparent": CLIENT[1].decode()}
            )
            server.process.send_signal(signal.SIGTERM)  # what is left is sent at the end
            server.process.wait(timeout=60)

    assert response.status_code == 200
    infer, queue, compute = (receiver.spans[name] for name in ("infer", "queue", "compute"))
    assert (infer.trace_id.hex(), infer.parent_span_id.hex()) == (TRACE, PARENT)
    told = attributes(iter(infer.attributes))
    assert (told["bnserve.rows"], told["http.response.status_code"]) == (3, 200)
    assert infer.start_time_unix_nano <= queue.start_time_unix_nano <= compute.start_time_unix_nano
    assert compute.end_time_unix_nano <= infer.end_time_unix_nano
