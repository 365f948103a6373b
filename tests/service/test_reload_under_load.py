"""Versions change while clients ask: none of them fails, and every answer is that of the version it names."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from models.store import Store
from tests.drafts import draft
from tests.service.running import Server, over_socket
from tests.service.wire import Sent, body_of

CHANGES = 20
CLIENTS = 4
REQUESTS = 250
"""Of each client at least; each goes on until all changes are made."""

ROWS = draft().sample.inputs["x"]
BODY, _ = body_of([Sent("x", "FP32", ROWS)])


def expected(version: int) -> NDArray[np.float32]:
    """What a version answers: its logits are those of the first one, and a number of its own more."""
    return draft().sample.outputs["logits"] + np.float32(10 * version)


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[Server]:
    """The command with the first version, of which the latest alone is ever loaded."""
    store.publish(draft(bias=10.0))
    with over_socket(store.root, tmp_path / "log", "--versions", "latest:1") as running:
        running.wait_until_ready()
        yield running


def ask(server: Server, begun: threading.Event, over: threading.Event) -> list[tuple[int, str, NDArray[np.float32]]]:
    """Status, version and logits of every answer."""
    answers: list[tuple[int, str, NDArray[np.float32]]] = []
    with httpx.Client(base_url=server.url) as client:
        while len(answers) < REQUESTS or not over.is_set():
            response = client.post("/v2/models/tiny/infer", content=BODY)
            assert response.status_code == 200, response.text
            document = response.json()
            logits = np.array(document["outputs"][0]["data"], np.float32).reshape(len(ROWS), -1)
            answers.append((response.status_code, document["model_version"], logits))
            begun.set()
    return answers


def test_a_thousand_requests_over_twenty_versions_are_each_answered_by_a_whole_one(
    server: Server, store: Store
) -> None:
    begun, over = threading.Event(), threading.Event()

    with ThreadPoolExecutor(CLIENTS) as threads, httpx.Client(base_url=server.url) as client:
        asking = [threads.submit(ask, server, begun, over) for _ in range(CLIENTS)]
        assert begun.wait(60)
        for version in range(2, CHANGES + 2):
            store.publish(draft(bias=10.0 * version))
            while client.get("/v2/models/tiny").json()["versions"] != [str(version)]:
                assert not any(each.done() and each.exception() for each in asking)
        over.set()
        answers = [answer for each in asking for answer in each.result()]

    assert len(answers) >= CLIENTS * REQUESTS
    assert {int(number) for _, number, _ in answers} == set(range(1, CHANGES + 2))
    for _, number, logits in answers:
        # graphs in float32 of numbers up to 250
        np.testing.assert_allclose(logits, expected(int(number)), rtol=0, atol=1e-3)
