"""This module tests over a real socket, with Triton's own client, that clients change what is served."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from models.store import Store
from tests.drafts import draft
from tests.service.running import Server, over_socket

SERVED_FOR_S = 3.0
"""How long clients send requests while the store changes."""

ROW = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0, 0.0, 0.0, 0.0]}]}
INFER = "/v2/models/tiny/infer"


@contextlib.contextmanager
def serving_three(store: Store, log: Path) -> Iterator[Server]:
    """The command on versions 1 to 3 of ``tiny``, of which 2 and 3 are loaded."""
    for bias in range(3):
        store.publish(draft(bias=float(bias)))
    with over_socket(store.root, log) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[Server]:
    """For a test that changes what is served."""
    with serving_three(store, tmp_path / "log") as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For tests that leave served what was."""
    folder = tmp_path_factory.mktemp("lasting")
    with serving_three(Store(folder / "store"), folder / "log") as running:
        yield running


@contextlib.contextmanager
def client_of(server: Server) -> Iterator[Any]:
    """Triton's own client."""
    connected = tritonclient.http.InferenceServerClient(server.address)
    yield connected
    connected.close()


@pytest.fixture
def triton(lasting: Server) -> Iterator[Any]:
    """Of the server that lasts."""
    with client_of(lasting) as connected:
        yield connected


def test_triton_unloads_and_loads_a_model(triton: Any) -> None:  # noqa: ANN401
    seen = [triton.is_model_ready("tiny")]

    triton.unload_model("tiny")
    seen.append(triton.is_model_ready("tiny"))
    triton.load_model("tiny")
    seen.append(triton.is_model_ready("tiny"))

    assert seen == [True, False, True]


def test_triton_loads_a_model_by_a_policy(server: Server) -> None:
    policy = '{"version_policy": {"specific": {"versions": [1]}}}'

    with client_of(server) as triton:
        triton.load_model("tiny", config=policy)
        ready = [triton.is_model_ready("tiny", version) for version in ("1", "2", "3")]

    assert ready == [True, False, False]


def test_triton_brings_no_files(triton: Any) -> None:  # noqa: ANN401
    files = {"file:1/model.onnx": b"no model"}

    with pytest.raises(InferenceServerException) as failure:
        triton.load_model("tiny", config="{}", files=files)

    assert "models come only from the store" in failure.value.message()
    assert triton.is_model_ready("tiny")


@pytest.mark.parametrize("call", ["load_model", "unload_model"])
def test_triton_raises_where_there_is_no_model(triton: Any, call: str) -> None:  # noqa: ANN401
    name = "unknown"

    with pytest.raises(InferenceServerException) as failure:
        getattr(triton, call)(name)

    assert failure.value.message() == "model 'unknown' is not known; there are: tiny"


def test_triton_reads_the_configuration(triton: Any) -> None:  # noqa: ANN401
    expected = [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}]

    config = triton.get_model_config("tiny")

    assert (config["name"], config["max_batch_size"], config["input"]) == ("tiny", 64, expected)


def test_no_request_fails_while_versions_are_published_promoted_and_unloaded(server: Server, store: Store) -> None:
    until = time.monotonic() + SERVED_FOR_S

    def send() -> list[httpx.Response]:
        answers = []
        with httpx.Client(base_url=server.url) as client:
            while time.monotonic() < until:
                answers.append(client.post(INFER, json=ROW))
        return answers

    with ThreadPoolExecutor(4) as threads, httpx.Client(base_url=server.url) as client:
        sending = [threads.submit(send) for _ in range(3)]
        switches = []
        while time.monotonic() < until:
            newest = store.publish(draft()).manifest.version
            for version in (newest, 1):
                body = {"version": version}
                switches.append(client.post("/v2/repository/models/tiny/promote", json=body).status_code)
            switches.append(client.post("/v2/repository/models/tiny/load").status_code)
        answers = [answer for each in sending for answer in each.result()]

    assert set(switches) == {200}
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["model_version"] for answer in answers}) > 2
