"""This module asks a service what its layers see, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.drafts import INPUTS
from tests.service.running import DEADLINE_S, Service
from tests.service.wire import Sent, body_of

OBSERVE_ALL: dict[str, Any] = {"observe_share": 1.0, "window_rows": 64}
"""Settings with which every row is observed, and 64 are a window."""


def until(condition: Callable[[], bool]) -> None:
    """Ask again and again until something is so."""
    give_up_at, never = time.monotonic() + DEADLINE_S, threading.Event()
    while not condition():
        assert time.monotonic() < give_up_at
        never.wait(0.02)


def report(service: Service, model: str = "tiny", **query: str) -> dict[str, Any]:
    """What is answered about a model's layers."""
    response = service.request("GET", f"/v2/models/{model}/normalization", params=query)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def until_observed(service: Service, model: str = "tiny") -> None:
    """Wait until a model is observed."""
    until(lambda: report(service, model)["observation"]["reason"] is None)


def normal_rows(rows: int, *, seed: int = 0, mean: float = 0.0) -> NDArray[np.float32]:
    """Rows of a draft, like those of its training where the mean is 0."""
    return np.random.default_rng((seed, 7)).normal(mean, 1.0, size=(rows, INPUTS)).astype(np.float32)


def send(service: Service, x: NDArray[np.float32], model: str = "tiny") -> None:
    """Have rows of a draft answered."""
    body, header = body_of([Sent("x", "FP32", x, "bytes")])
    response = service.post(
        f"/v2/models/{model}/infer", content=body, headers={"Inference-Header-Content-Length": str(header)}
    )
    assert response.status_code == 200, response.text
