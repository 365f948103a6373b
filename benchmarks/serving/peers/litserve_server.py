"""This module is LitServe with a LitAPI; it runs in LitServe's environment.

python -m benchmarks.serving.peers.litserve_server MODEL.onnx --port PORT --threads N --setup SETUP
"""

# mypy: disable-error-code="import-not-found", allow-subclassing-any, allow-untyped-defs

from __future__ import annotations

import argparse
from pathlib import Path

import litserve
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.runtime import open_session

MAX_BATCH_SIZE = 64
BATCH_TIMEOUT_S = 0.001
SETUPS = ("one-by-one", "batching", "batching-zmq")

Rows = NDArray[np.float32]


class Network(litserve.LitAPI):
    """Runs the graph on batches of rows; a batch has one row where the server makes none."""

    def __init__(self, model: Path, threads: int, *, batching: bool) -> None:
        if batching:
            super().__init__(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
        else:
            super().__init__()
        self._model = model
        self._threads = threads
        self._batching = batching

    def setup(self, device: str) -> None:
        """Open the session, in the worker."""
        del device
        self._session = open_session(self._model, threads=self._threads)
        self._input = self._session.get_inputs()[0].name

    # what it is annotated with LitServe takes for a model of FastAPI's, to parse with
    def decode_request(self, request):  # noqa: ANN001, ANN201
        """One row."""
        return np.asarray(request["rows"], np.float32)

    def predict(self, rows: Rows) -> Rows:
        """Answer rows, or one row."""
        batch = rows if self._batching else rows[np.newaxis]
        result: Rows = self._session.run(None, {self._input: batch})[0]
        return result if self._batching else result[0]

    def encode_response(self, output):  # noqa: ANN001, ANN201
        """One row's answer."""
        return output.tolist()


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--setup", choices=SETUPS, required=True)
    options = parser.parse_args()
    api = Network(options.model, options.threads, batching=options.setup != "one-by-one")
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=options.setup == "batching-zmq")
    server.run(host="127.0.0.1", port=options.port, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main()
