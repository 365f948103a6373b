"""This module is BentoML with a service; it runs in BentoML's environment.

python -m benchmarks.serving.peers.bentoml_server MODEL.onnx --port PORT --threads N --setup SETUP
"""

# mypy: disable-error-code="import-not-found", allow-untyped-decorators

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.runtime import open_session

MAX_BATCH_SIZE = 64
CLASSES = {"one-by-one": "OneByOne", "on-loop": "OnLoop", "batching": "Batching"}
MODEL, THREADS = "PEER_MODEL", "PEER_THREADS"

Rows = NDArray[np.float32]


class _Network:
    """The graph, opened in the worker."""

    def __init__(self) -> None:
        self._session = open_session(Path(os.environ[MODEL]), threads=int(os.environ[THREADS]))
        self._input = self._session.get_inputs()[0].name

    def run(self, rows: np.ndarray) -> np.ndarray:
        """What the graph answers."""
        result: Rows = self._session.run(None, {self._input: rows.astype(np.float32)})[0]
        return result


service = bentoml.service(workers=1, logging={"access": {"enabled": False}})


@service
class OneByOne:
    """Every request on its own, in a thread."""

    def __init__(self) -> None:
        self._network = _Network()

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows."""
        return self._network.run(rows)


@service
class OnLoop:
    """Every request on its own, on the event loop."""

    def __init__(self) -> None:
        self._network = _Network()

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows."""
        return self._network.run(rows)


@service
class Batching:
    """Requests that the server has put together."""

    def __init__(self) -> None:
        self._network = _Network()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_SIZE)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows."""
        return self._network.run(rows)


def main() -> None:
    """Become BentoML's own command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", required=True)
    parser.add_argument("--threads", required=True)
    parser.add_argument("--setup", choices=CLASSES, required=True)
    options = parser.parse_args()
    command = [sys.executable, "-m", "bentoml", "serve", f"{__spec__.name}:{CLASSES[options.setup]}"]
    command += ["--host", "127.0.0.1", "--port", options.port, "--working-dir", str(Path.cwd())]
    home = str(Path(sys.prefix) / "serving")
    environment = {**os.environ, MODEL: str(options.model), THREADS: options.threads, "BENTOML_HOME": home}
    os.execve(sys.executable, command, environment)  # noqa: S606  it takes this process's place


if __name__ == "__main__":
    main()
