import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from models.store import Store
from tests.drafts import draft
from tests.service.running import Service, in_process
from tests.service.wire import Sent, body_of, read_answer

INFER = "/v2/models/tiny/infer"
HEADER_LENGTH = "Inference-Header-Content-Length"
ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def expected_of(store: Store, version: int, rows: np.ndarray[Any, Any] = ROWS) -> Any:  # noqa: ANN401
    """What ONNX Runtime itself answers with a version's graph."""
    path = store.open("tiny", version).model_path
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(["logits"], {"x": rows})[0]


@pytest.mark.parametrize(
    ("path", "version"), [(INFER, 2), ("/v2/models/tiny/versions/1/infer", 1), ("/v2/models/tiny/versions/2/infer", 2)]
)
def test_rows_sent_as_json_are_answered_as_json(service: Service, shared_store: Store, path: str, version: int) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)], id="7")

    response = service.post(path, content=body)

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert HEADER_LENGTH not in response.headers
    document, outputs = read_answer(response.content, None)
    assert [document[field] for field in ("model_name", "model_version", "id")] == ["tiny", str(version), "7"]
    np.testing.assert_array_equal(outputs["logits"], expected_of(shared_store, version), strict=True)


def test_rows_sent_as_bytes_are_answered_as_bytes(service: Service, shared_store: Store) -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS, "bytes")], parameters={"binary_data_output": True})

    response = service.post(INFER, content=body, headers={HEADER_LENGTH: str(header_length)})

    assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    assert int(response.headers["content-length"]) == len(response.content)
    _, outputs = read_answer(response.content, int(response.headers[HEADER_LENGTH]))
    np.testing.assert_array_equal(outputs["logits"], expected_of(shared_store, 2), strict=True)


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "text/plain", "application/octet-stream", "multipart/form-data", "x"]
)
def test_the_content_type_is_not_looked_at(service: Service, content_type: str | None) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = service.post(INFER, content=body, headers=headers)

    assert response.status_code == 200


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_may_come_in_chunks(service: Service, shared_store: Store, size: int) -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS, "bytes")])

    response = service.post(INFER, content=in_chunks(body, size), headers={HEADER_LENGTH: str(header_length)})

    assert response.status_code == 200
    _, outputs = read_answer(response.content, None)
    np.testing.assert_array_equal(outputs["logits"], expected_of(shared_store, 2), strict=True)


def test_a_row_is_answered_alike_alone_and_among_others(service: Service) -> None:
    together, _ = body_of([Sent("x", "FP32", ROWS)])
    alone = [body_of([Sent("x", "FP32", row[None])])[0] for row in ROWS]

    answers = [read_answer(service.post(INFER, content=body).content, None)[1]["logits"] for body in (together, *alone)]

    # matrix products of another number of rows may sum in another order
    np.testing.assert_allclose(answers[0], np.concatenate(answers[1:]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v2/models/unknown/infer", 404, "model 'unknown' is not known; there are: broken, plain, tiny"),
        ("/v2/models/unknown/versions/1/infer", 404, "model 'unknown' is not known"),
        ("/v2/models/tiny/versions/3/infer", 404, "model 'tiny' has no version '3'; there are: 1, 2"),
        ("/v2/models/tiny/versions/one/infer", 404, "model 'tiny' has no version 'one'; there are: 1, 2"),
        ("/v2/models/broken/infer", 503, "model 'broken' has no version that can be served: version 1: model.onnx: "),
        ("/v2/models/broken/versions/1/infer", 503, "model 'broken' version 1 can't be served: model.onnx: "),
        ("/v2/models/tiny/versions//infer", 404, "path: expected one that /openapi.json lists and /docs shows, got /"),
        ("/v2/models//infer", 404, "path: expected one that /openapi.json lists and /docs shows, got /"),
        ("/v2/models/a/b/infer", 404, "path: expected one that /openapi.json lists and /docs shows, got /"),
        ("/infer", 404, "path: expected one that /openapi.json lists and /docs shows, got /"),
    ],
)
def test_a_model_that_can_not_answer_says_why(service: Service, path: str, status: int, message: str) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(path, content=body)

    assert response.status_code == status
    assert response.json()["error"].startswith(message)


@pytest.mark.parametrize("path", [INFER, "/v2/models/tiny/versions/1/infer", "/v2/models/unknown/infer"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_refused(service: Service, path: str, method: str) -> None:
    expected = {"error": f"{path}: expected POST, got {method}"}

    response = service.request(method, path)

    assert (response.status_code, response.headers["allow"], response.json()) == (405, "POST", expected)


GOOD: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "request: expected an object, got []"),
        ({}, "request: expected inputs, a list of tensors with name, datatype, shape and data, got none"),
        ({"inputs": []}, "inputs: expected all of 'x', got none named 'x'"),
        ({"inputs": [{**GOOD, "name": "y"}]}, "inputs[0].name: expected 'x', got 'y'"),
        ({"inputs": [GOOD, GOOD]}, "inputs[1].name: expected each input once, got 'x' again"),
        ({"inputs": [{**GOOD, "shape": [4]}]}, "inputs[0].shape: expected [-1, 4], got [4]"),
        ({"inputs": [{**GOOD, "shape": [0, 4], "data": []}]}, "inputs[0].shape: expected at least one row, got [0, 4]"),
        ({"inputs": [{**GOOD, "datatype": "INT32"}]}, "inputs[0].datatype: expected FP32, got INT32"),
        ({"inputs": [{**GOOD, "data": [1, 2, 3, None]}]}, "inputs[0].data[3]: expected a number (FP32), got null"),
        ({"inputs": [GOOD], "outputs": [{"name": "y"}]}, "outputs[0].name: expected 'logits', got 'y'"),
        ({"inputs": [{**GOOD, "datatype": []}]}, "inputs[0].datatype: expected one of "),
        ({"inputs": [GOOD], "id": "\ud800"}, "id: expected "),
    ],
)
def test_a_request_that_does_not_fit_is_refused(service: Service, document: object, message: str) -> None:
    expected = message

    response = service.post(INFER, content=json.dumps(document))

    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith(expected)


@pytest.mark.parametrize("header_length", ["", "-1", "+5", "1.0", "0x10", "ten", "1000000", "9" * 30, "9" * 5000])
def test_a_header_length_that_can_not_be_is_refused(service: Service, header_length: str) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(INFER, content=body, headers={HEADER_LENGTH: header_length})

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{HEADER_LENGTH}: expected ")


def test_an_empty_body_is_refused(service: Service) -> None:
    body = b""

    response = service.post(INFER, content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith("request: expected ")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)]
)
def test_a_compressed_body_is_read(
    service: Service, shared_store: Store, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS, "bytes")])

    response = service.post(
        INFER, content=compress(body), headers={"Content-Encoding": encoding, HEADER_LENGTH: str(header_length)}
    )

    _, outputs = read_answer(response.content, None)
    np.testing.assert_array_equal(outputs["logits"], expected_of(shared_store, 2), strict=True)


@pytest.mark.parametrize("encoding", ["br", "zstd", "x"])
def test_another_encoding_is_refused_with_those_that_are_read(service: Service, encoding: str) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(INFER, content=body, headers={"Content-Encoding": encoding})

    assert response.status_code == 415
    assert response.json() == {"error": f"Content-Encoding: expected gzip or deflate, got {encoding!r}"}
    assert response.headers["accept-encoding"] == "gzip, deflate"


def test_a_body_that_is_not_compressed_as_it_says_is_refused(service: Service) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(INFER, content=body, headers={"Content-Encoding": "gzip"})

    assert response.status_code == 400


def test_a_small_body_that_becomes_too_large_is_refused(small_service: Service) -> None:
    bomb = gzip.compress(b" " * 10_000_000)[:999]

    response = small_service.post(INFER, content=bomb, headers={"Content-Encoding": "gzip"})

    assert response.status_code == 413


MANY = np.tile(ROWS, (100, 1))


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate", "deflate"), ("deflate, gzip;q=0.5", "deflate"), ("br", None), ("identity", None)],
)
def test_a_large_answer_is_compressed_for_who_accepts_it(
    service: Service, shared_store: Store, accepted: str, encoding: str | None
) -> None:
    body, _ = body_of([Sent("x", "FP32", MANY)], parameters={"binary_data_output": True})

    response = service.post(INFER, content=body, headers={"Accept-Encoding": accepted})

    assert response.headers.get("content-encoding") == encoding
    _, outputs = read_answer(response.content, int(response.headers[HEADER_LENGTH]))
    np.testing.assert_allclose(outputs["logits"], expected_of(shared_store, 2, MANY), rtol=0, atol=1e-6)


def test_a_small_answer_is_not_worth_compressing(service: Service) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(INFER, content=body, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in response.headers


def test_a_setting_turns_compression_off(shared_store: Store) -> None:
    body, _ = body_of([Sent("x", "FP32", MANY)])

    with in_process(shared_store.root, compression=False) as service:
        response = service.post(INFER, content=body, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in response.headers


def test_a_raw_body_is_the_one_input(service: Service, shared_store: Store) -> None:
    response = service.post(INFER, content=ROWS.tobytes(), headers={HEADER_LENGTH: "0"})

    _, outputs = read_answer(response.content, int(response.headers[HEADER_LENGTH]))
    np.testing.assert_array_equal(outputs["logits"], expected_of(shared_store, 2), strict=True)


def test_the_likeliest_classes_are_answered_by_their_labels(service: Service, shared_store: Store) -> None:
    outputs = [{"name": "logits", "parameters": {"classification": 1}}]
    body, _ = body_of([Sent("x", "FP32", ROWS)], outputs=outputs)

    (output,) = service.post(INFER, content=body).json()["outputs"]

    logits = expected_of(shared_store, 2)
    best = logits.argmax(axis=1)
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 1])
    assert [text.split(":")[1:] for text in output["data"]] == [[str(i), ["no", "yes"][i]] for i in best]
    np.testing.assert_allclose([float(text.split(":")[0]) for text in output["data"]], logits.max(axis=1), atol=1e-5)


def test_every_answer_says_by_which_id_the_logs_call_it(service: Service) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    named = service.post(INFER, content=body, headers={"X-Request-Id": "mine-7"})
    made = [service.post(INFER, content=content).headers["x-request-id"] for content in (body, body, b"{")]

    assert named.headers["x-request-id"] == "mine-7"
    assert len(set(made)) == 3


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/tiny", "/v2/models/tiny/ready", "/metrics"])
def test_head_is_answered_as_get_is(service: Service, path: str) -> None:
    get = service.get(path)

    head = service.request("HEAD", path)

    assert (head.status_code, head.headers["content-type"]) == (200, get.headers["content-type"])


def test_a_body_that_says_that_it_is_not_encoded_is_taken(service: Service) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    response = service.post(INFER, content=body, headers={"Content-Encoding": "identity"})

    assert response.status_code == 200


@pytest.fixture(scope="module")
def small_service(shared_store: Store) -> Iterator[Service]:
    """The service, where it takes no more than 1,000 bytes."""
    with in_process(shared_store.root, max_request_bytes=1_000) as running:
        yield running


def padded(size: int) -> bytes:
    body, _ = body_of([Sent("x", "FP32", ROWS)])
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1_000, 200), (1_001, 413), (100_000, 413)])
@pytest.mark.parametrize("length_is_told", [True, False])
def test_a_body_beyond_the_limit_is_refused(
    small_service: Service, size: int, status: int, length_is_told: bool
) -> None:
    body = padded(size)

    response = small_service.post(INFER, content=body if length_is_told else in_chunks(body, 100))

    assert response.status_code == status
    if status == 413:
        assert response.json()["error"].startswith("request: expected at most 1000 bytes, got 1")


def test_a_body_without_an_end_is_read_no_further_than_the_limit(small_service: Service) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b" " * 100

    response = small_service.post(INFER, content=endless())

    assert response.status_code == 413
    assert sent <= 1_200


def that_looks_up_a_table() -> bytes:
    """The graph of a draft, whose first input chooses one of 16 zeros to add: another number is an error."""
    model = onnx.load_from_string(draft().model)
    model.graph.node[-1].output[0] = "raw"
    zeros, column = np.zeros((16, 1), np.float32), np.array(0)
    model.graph.initializer.append(onnx.numpy_helper.from_array(zeros, "zeros"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(column, "column"))
    model.graph.node.extend(
        [
            onnx.helper.make_node("Gather", ["x", "column"], ["first"], axis=1),
            onnx.helper.make_node("Cast", ["first"], ["index"], to=onnx.TensorProto.INT64),
            onnx.helper.make_node("Gather", ["zeros", "index"], ["zero"]),
            onnx.helper.make_node("Add", ["raw", "zero"], ["logits"]),
        ]
    )
    return bytes(model.SerializeToString())


def test_what_the_runtime_refuses_is_an_internal_error_that_says_what_and_reaches_no_one_else(store: Store) -> None:
    store.publish(draft(model=that_looks_up_a_table()))
    good, _ = body_of([Sent("x", "FP32", ROWS)])
    bad, _ = body_of([Sent("x", "FP32", np.full((1, 4), 99, np.float32))])

    with in_process(store.root) as service:
        answers = service.at_once([{"method": "POST", "url": INFER, "content": body} for body in (good, bad, good)])

    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert answers[1].json()["error"].startswith("the runtime failed on this request: ")


def test_nan_comes_through_both_ways(service: Service) -> None:
    rows = ROWS.copy()
    rows[0] = np.nan
    body, _ = body_of([Sent("x", "FP32", rows)])

    response = service.post(INFER, content=body)

    assert response.status_code == 200
    _, outputs = read_answer(response.content, None)
    assert np.isnan(outputs["logits"]).any(axis=1).tolist() == [True, False, False]


def test_a_new_version_answers_where_none_is_named(store: Store) -> None:
    store.publish(draft())
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    with in_process(store.root) as service:
        first = service.post(INFER, content=body).json()
        store.publish(draft(bias=5.0))
        service.refresh()
        second = service.post(INFER, content=body).json()

    assert (first["model_version"], second["model_version"]) == ("1", "2")
    # both networks differ in what is added to their answers, and their graphs compute in float32
    moved = np.subtract(second["outputs"][0]["data"], first["outputs"][0]["data"])
    np.testing.assert_allclose(moved, 5.0, rtol=0, atol=1e-5)


def test_the_access_log_says_why_a_request_was_refused(tiny: Store, caplog: pytest.LogCaptureFixture) -> None:
    """In the words that its client was told, so that nobody has to ask it."""
    caplog.set_level("INFO", "service.access")
    good, _ = body_of([Sent("x", "FP32", ROWS)])

    with in_process(tiny.root, access_log=True) as service:
        told = [service.post(INFER, content=b"{}"), service.post("/v2/models/unknown/infer", content=good)]
        service.post(INFER, content=good)

    logged = [vars(record) for record in caplog.records if record.name == "service.access"]
    assert [line["status"] for line in logged] == [400, 404, 200]
    assert [line.get("reason") for line in logged] == [*(answer.json()["error"] for answer in told), None]
