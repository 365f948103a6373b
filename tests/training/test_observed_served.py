"""What a real service says its layers see is what torch's own layers take of the same rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from models.bundle import Bundle
from models.moments import Moments
from tests.committed import DIGITS, copy_committed
from tests.service.running import DEADLINE_S, Server, over_socket
from tests.service.wire import Form, Sent, body_of
from training.loading import load_network
from training.normalization import normalization_layers

SIZES = [1, 2, 3, 5, 8, 1, 13, 21, 34, 1, 55, 64, 65, 128, 1, 1, 197]
"""Rows of each request: alone, in company, as many as one run takes, and more."""

ROWS = sum(SIZES)
BRIGHTER = (4 + 0.75 * load_digits().images[:ROWS]).astype(np.float32)[:, None]
"""Rows that are not like those of the training, so that what is seen is not what was seen then."""

TOLERANCE = 1e-4
"""Of the training deviation for a mean, relative for a variance: float32 rounds by 6e-8, layers behind one another add
that up, and a variance is a difference of two squares."""


@pytest.fixture(scope="module", params=[[], ["--workers", "2"]], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The command on the committed digits, every run observed."""
    folder = tmp_path_factory.mktemp("observed")
    store = copy_committed(folder / "store", DIGITS)
    with over_socket(store.root, folder / "log", "--observe-share", "1", *request.param) as running:
        running.wait_until_ready()
        _until(running, lambda report: report["observation"]["reason"] is None)
        yield running


@pytest.fixture(scope="module")
def expected() -> Mapping[str, Moments]:
    """What torch's layers take, by forward hooks, of the network that the bundle was folded from."""
    bundle = Bundle.open(DIGITS)
    network = load_network(bundle.manifest.network.name, bundle.manifest.network.arguments)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in bundle.parameters().items()})
    network.eval()
    found: dict[str, Moments] = {}
    for name, layer in normalization_layers(network).items():

        def hook(_: nn.Module, taken: tuple[Tensor, ...], name: str = name) -> None:
            found[name] = Moments.of(taken[0].numpy(), channel_axis=1)

        layer.register_forward_pre_hook(hook)
    with torch.no_grad():
        network(torch.from_numpy(BRIGHTER))
    return found


def _report(server: Server, path: str = "") -> dict[str, Any]:
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        answer = client.get(f"/v2/models/digits/normalization{path}", params={"over": "total"})
    answer.raise_for_status()
    report: dict[str, Any] = answer.json()
    return report


def _until(server: Server, condition: Any) -> None:  # noqa: ANN401  of a report
    """Ask until a report is so, a few times in a row: of several workers any may answer."""
    give_up_at, never, held = time.monotonic() + DEADLINE_S, threading.Event(), 0
    while held < 6:
        held = held + 1 if condition(_report(server)) else 0
        assert time.monotonic() < give_up_at, _report(server)["observation"]
        never.wait(0.05)


def _send(server: Server, rows: NDArray[np.float32], form: Form) -> None:
    body, header = body_of([Sent("image", "FP32", rows, form)])
    headers = {"Inference-Header-Content-Length": str(header)} if form == "bytes" else {}
    with httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client:
        client.post("/v2/models/digits/infer", content=body, headers=headers).raise_for_status()


@pytest.fixture(scope="module")
def asked(server: Server) -> Server:
    """The same, once it has answered all rows, in requests of any size, in numbers or bytes, several at once."""
    requests = np.split(BRIGHTER, np.cumsum(SIZES)[:-1])
    forms: list[Form] = ["nested", "bytes", "flat"]
    with ThreadPoolExecutor(4) as clients:
        sent = [clients.submit(_send, server, rows, forms[i % 3]) for i, rows in enumerate(requests)]
        for one in sent:
            one.result()
    _until(server, lambda report: report["observation"]["rows_observed"] == ROWS)
    return server


def test_live_statistics_are_those_of_torch_on_the_same_rows(asked: Server, expected: Mapping[str, Moments]) -> None:
    """Every channel of every layer."""
    names = list(expected)

    layers = {name: _report(asked, f"/layers/{name}") for name in names}

    for name, taken in expected.items():
        layer = layers[name]
        deviation = np.sqrt(np.array(layer["training"]["variance"]) + layer["eps"])
        mean, variance = (np.array(layer["live"][figure], np.float64) for figure in ("mean", "variance"))
        observable = np.isfinite(mean)
        assert layer["live"]["rows"] == ROWS
        assert (~observable).sum() == layer["drift"]["unobservable_channels"]
        assert observable.sum() >= layer["channels"] - 1
        np.testing.assert_allclose(
            (mean / deviation)[observable], (taken.mean / deviation)[observable], rtol=0, atol=TOLERANCE
        )
        np.testing.assert_allclose(variance[observable], taken.variance[observable], rtol=TOLERANCE)
        assert np.abs(np.array(layer["drift"]["shift"], np.float64)[observable]).max() > 100 * TOLERANCE


def test_prometheus_is_told_of_the_rows_that_are_reported(asked: Server) -> None:
    """Of all workers, by whichever is asked."""
    expected = f'bnserve_normalization_rows_observed_total{{model="digits",version="1"}} {float(ROWS)}'

    told = [httpx.get(f"{asked.url}/metrics", timeout=DEADLINE_S).text.splitlines() for _ in range(4)]

    assert [expected in lines for lines in told] == [True] * 4


def test_a_reset_is_for_all_workers(asked: Server) -> None:
    """Whichever is asked to forget, and whichever is asked what it saw."""
    httpx.post(f"{asked.url}/v2/models/digits/normalization/reset", timeout=DEADLINE_S).raise_for_status()

    rows = [_report(asked)["observation"]["rows_observed"] for _ in range(6)]

    assert rows == [0] * 6
