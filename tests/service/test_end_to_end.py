"""This module tests the command over a real socket, with clients that know nothing of it."""

import http.client
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
import tritonclient.http
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from tritonclient.utils import InferenceServerException

from models.store import Store
from tests.committed import DIGITS, copy_as, copy_committed
from tests.service.running import DEADLINE_S, Server, over_socket

ROWS = 100
INFER = "/v2/models/digits/infer"

Array = NDArray[Any]


def store_with_digits(root: Path) -> Store:
    """A store of its own with a copy of the committed bundle."""
    return copy_committed(root, DIGITS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The command on a copy of the committed bundle; tests share it, so none changes its store."""
    folder = tmp_path_factory.mktemp("end-to-end")
    with over_socket(store_with_digits(folder / "store").root, folder / "log") as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(base_url=server.url, timeout=30) as connected:
        yield connected


@pytest.fixture(scope="module")
def triton(server: Server) -> Iterator[Any]:
    """Triton's own client."""
    connected = tritonclient.http.InferenceServerClient(server.address)
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    """Handwritten digits from 0 to 16 of shape ``(rows, 1, 8, 8)`` as scikit-learn ships them, and what they are."""
    data = load_digits()
    rows = np.random.default_rng(0).permutation(len(data.images))[:ROWS]
    return data.images[rows].astype(np.float32)[:, None], data.target[rows]


@pytest.fixture(scope="module")
def expected(digits: tuple[Array, Array]) -> Array:
    """What ONNX Runtime answers in this process, on one thread as the server does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(DIGITS / "model.onnx", options, providers=["CPUExecutionProvider"])
    answer: Array = session.run(["logits"], {"image": digits[0]})[0]
    return answer


def as_json(images: Array, **fields: object) -> dict[str, Any]:
    image = {"name": "image", "shape": images.shape, "datatype": "FP32", "data": images.tolist()}
    return {"inputs": [image], **fields}


def test_digits_sent_one_by_one_are_classified_right(client: httpx.Client, digits: tuple[Array, Array]) -> None:
    images, labels = digits

    answers = [client.post(INFER, json=as_json(image[None])).json()["outputs"][0] for image in images]

    right = sum(np.argmax(answer["data"]) == label for answer, label in zip(answers, labels, strict=True))
    # the bundle's manifest says 99.7 % of rows it never saw; most of these it was trained on
    assert right >= 97


def test_rows_sent_together_are_answered_as_by_the_runtime_itself(
    client: httpx.Client, digits: tuple[Array, Array], expected: Array
) -> None:
    images, _ = digits

    output = client.post(INFER, json=as_json(images)).json()["outputs"][0]

    np.testing.assert_array_equal(np.array(output["data"], np.float32).reshape(output["shape"]), expected)


def test_requests_at_once_each_get_their_own_answer(
    client: httpx.Client, digits: tuple[Array, Array], expected: Array
) -> None:
    images, _ = digits
    requests = [as_json(images[index : index + 1], id=str(index)) for index in range(40)]

    with ThreadPoolExecutor(8) as threads:
        answers = [response.json() for response in threads.map(lambda each: client.post(INFER, json=each), requests)]

    assert [answer["id"] for answer in answers] == [request["id"] for request in requests]
    # products of one row may sum in another order than those of a hundred; the logits are of sizes below 30
    found = np.array([answer["outputs"][0]["data"] for answer in answers])
    np.testing.assert_allclose(found, expected[:40], rtol=0, atol=1e-4)


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(server: Server) -> None:
    host, port = server.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)

    connection.putrequest("POST", INFER)
    connection.putheader("Content-Length", str(2**40))
    connection.endheaders()
    response = connection.getresponse()

    assert response.status == 413
    assert b'"error"' in response.read()
    connection.close()


def test_a_body_beyond_the_limit_that_is_sent_all_the_same_is_refused(client: httpx.Client) -> None:
    body = bytes(64 * 2**20 + 1)

    response = client.post(INFER, content=body)

    assert response.status_code == 413
    assert client.get("/v2/health/live").status_code == 200


def test_a_client_that_goes_away_leaves_the_others_served(server: Server, client: httpx.Client) -> None:
    host, port = server.address.split(":")
    for _ in range(20):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.putrequest("POST", INFER)
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b'{"inputs": [')
        connection.close()

    response = client.get("/v2/health/ready")

    assert response.status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_triton_finds_the_server_live_and_ready(triton: Any) -> None:  # noqa: ANN401
    model = "digits"

    found = (
        triton.is_server_live(),
        triton.is_server_ready(),
        triton.is_model_ready(model),
        triton.is_model_ready(model, "1"),
        triton.is_model_ready(model, "2"),
        triton.is_model_ready("unknown"),
    )

    assert found == (True, True, True, True, False, False)


def test_triton_reads_the_metadata_of_the_server(triton: Any) -> None:  # noqa: ANN401
    extension = "binary_tensor_data"

    metadata = triton.get_server_metadata()

    assert metadata["name"] == "bnserve"
    assert extension in metadata["extensions"]


@pytest.mark.parametrize("version", ["", "1"])
def test_triton_reads_the_metadata_of_a_model(triton: Any, version: str) -> None:  # noqa: ANN401
    image = {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}

    metadata = triton.get_model_metadata("digits", version)

    assert metadata == {
        "name": "digits",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [image],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
        "properties": {
            "device": "cpu",
            "requested_device": "cpu",
            "threads": "1",
            "default_version": "1",
            "pinned_version": "none",
        },
    }


def test_triton_reads_the_index(triton: Any) -> None:  # noqa: ANN401
    expected = [{"name": "digits", "version": "1", "state": "READY", "reason": ""}]

    index = triton.get_model_repository_index()

    assert index == expected


def triton_input(images: Array, *, binary: bool | None = None) -> Any:  # noqa: ANN401
    """An input for Triton's client; with its default where nothing is said."""
    tensor = tritonclient.http.InferInput("image", list(images.shape), "FP32")
    tensor.set_data_from_numpy(images, **({} if binary is None else {"binary_data": binary}))
    return tensor


def test_triton_infers_with_its_defaults(
    triton: Any,  # noqa: ANN401
    digits: tuple[Array, Array],
    expected: Array,
) -> None:
    images, _ = digits

    result = triton.infer("digits", [triton_input(images)], request_id="7")

    np.testing.assert_array_equal(result.as_numpy("logits"), expected, strict=True)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


@pytest.mark.parametrize("version", ["", "1"])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_triton_infers_with_json_and_bytes_each_way(
    triton: Any,  # noqa: ANN401
    digits: tuple[Array, Array],
    expected: Array,
    binary_in: bool,
    binary_out: bool,
    version: str,
) -> None:
    images, _ = digits
    wanted = [tritonclient.http.InferRequestedOutput("logits", binary_data=binary_out)]

    result = triton.infer("digits", [triton_input(images, binary=binary_in)], model_version=version, outputs=wanted)

    np.testing.assert_array_equal(result.as_numpy("logits"), expected, strict=True)
    assert ("data" in result.get_output("logits")) != binary_out


def test_triton_infers_asynchronously(
    triton: Any,  # noqa: ANN401
    digits: tuple[Array, Array],
    expected: Array,
) -> None:
    images, _ = digits

    requests = [triton.async_infer("digits", [triton_input(images)]) for _ in range(4)]

    for request in requests:
        np.testing.assert_array_equal(request.get_result().as_numpy("logits"), expected)


def infer_unknown(triton: Any) -> None:  # noqa: ANN401
    triton.infer("unknown", [triton_input(np.zeros((1, 1, 8, 8), np.float32))])


def infer_wrong_shape(triton: Any) -> None:  # noqa: ANN401
    triton.infer("digits", [triton_input(np.zeros((1, 8, 8), np.float32))])


def infer_wrong_output(triton: Any) -> None:  # noqa: ANN401
    wanted = [tritonclient.http.InferRequestedOutput("probabilities")]
    triton.infer("digits", [triton_input(np.zeros((1, 1, 8, 8), np.float32))], outputs=wanted)


def read_unknown(triton: Any) -> None:  # noqa: ANN401
    triton.get_model_metadata("unknown")


def read_unknown_version(triton: Any) -> None:  # noqa: ANN401
    triton.get_model_metadata("digits", "5")


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (infer_unknown, "404", "model 'unknown' is not known; there are: digits"),
        (infer_wrong_shape, "400", "inputs[0].shape: expected [-1, 1, 8, 8], got [1, 8, 8]"),
        (infer_wrong_output, "400", "outputs[0].name: expected 'logits', got 'probabilities'"),
        (read_unknown, "404", "model 'unknown' is not known; there are: digits"),
        (read_unknown_version, "404", "model 'digits' has no version '5'; there are: 1"),
    ],
)
def test_triton_raises_our_message(
    triton: Any,  # noqa: ANN401
    call: Callable[[Any], None],
    status: str,
    message: str,
) -> None:
    expected = message

    with pytest.raises(InferenceServerException) as failure:
        call(triton)

    assert failure.value.message() == expected
    assert failure.value.status() in {status, None}


def test_a_new_version_is_served_soon_and_no_request_fails(tmp_path: Path, digits: tuple[Array, Array]) -> None:
    store = store_with_digits(tmp_path / "store")
    request = as_json(digits[0][:1])
    with over_socket(store.root, tmp_path / "log") as server, httpx.Client(base_url=server.url) as client:
        server.wait_until_ready()
        answers = [client.post(INFER, json=request)]

        copy_as(store, DIGITS, version=2)
        published = time.monotonic()
        while answers[-1].json().get("model_version") != "2" and time.monotonic() < published + DEADLINE_S:
            answers.append(client.post(INFER, json=request))

    assert {answer.status_code for answer in answers} == {200}
    assert (answers[0].json()["model_version"], answers[-1].json()["model_version"]) == ("1", "2")
    assert len({str(answer.json()["outputs"]) for answer in answers}) == 1


def test_a_pin_rolls_back_soon_and_no_request_fails(tmp_path: Path, digits: tuple[Array, Array]) -> None:
    store = store_with_digits(tmp_path / "store")
    copy_as(store, DIGITS, version=2)
    request = as_json(digits[0][:1])
    with over_socket(store.root, tmp_path / "log") as server, httpx.Client(base_url=server.url) as client:
        server.wait_until_ready("/v2/models/digits/versions/2/ready")

        store.pin_version("digits", 1)
        pinned = time.monotonic()
        answers = [client.post(INFER, json=request)]
        while answers[-1].json().get("model_version") != "1" and time.monotonic() < pinned + DEADLINE_S:
            answers.append(client.post(INFER, json=request))

    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json()["model_version"] == "1"


def test_a_store_that_appears_later_is_served(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with over_socket(root, tmp_path / "log", "--refresh-interval-s", "0.2") as server:
        with httpx.Client(base_url=server.url) as client:
            before = client.get("/v2/health/ready").status_code
        staged = store_with_digits(tmp_path / "staged")
        staged.root.rename(root)
        server.wait_until_ready("/v2/models/digits/ready")

    assert before == 503
