"""This module is MLServer with a custom runtime; it runs in MLServer's environment.

python -m benchmarks.serving.peers.mlserver_server MODEL.onnx --name NAME --port PORT --threads N --setup SETUP
"""

# mypy: disable-error-code="import-not-found", allow-subclassing-any

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.ports import free_port
from benchmarks.serving.runtime import open_session

WORKERS = {"one-process": 0, "worker": 1, "batching": 0}
BATCHING = {"max_batch_size": 64, "max_batch_time": 0.001}
THREADS = "PEER_THREADS"


class Runtime(MLModel):
    """Runs the graph on what the server's codec for numpy decodes."""

    async def load(self) -> bool:
        """Open the session."""
        self._session = open_session(Path(self.settings.parameters.uri), threads=int(os.environ[THREADS]))
        self._output = self._session.get_outputs()[0].name
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request, or several that the server has put together."""
        source = payload.inputs[0]
        rows = NumpyCodec.decode_input(source)
        (result,) = self._session.run(None, {source.name: rows})
        output = NumpyCodec.encode_output(self._output, result)
        return InferenceResponse(model_name=self.name, outputs=[output])


def main() -> None:
    """Write the settings that MLServer reads, and become MLServer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", required=True)
    parser.add_argument("--setup", choices=WORKERS, required=True)
    options = parser.parse_args()
    folder = Path(sys.prefix) / "serving"
    folder.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": options.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(folder / "metrics"),
        "environments_dir": str(folder / "environments"),
        "debug": False,
        "parallel_workers": WORKERS[options.setup],
    }
    model = {
        "name": options.name,
        "implementation": "benchmarks.serving.peers.mlserver_server.Runtime",
        "parameters": {"uri": str(options.model)},
        **(BATCHING if options.setup == "batching" else {}),
    }
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    mlserver = Path(sys.executable).with_name("mlserver")
    environment = {**os.environ, THREADS: options.threads, "PYTHONPATH": str(Path.cwd())}
    os.execve(mlserver, [str(mlserver), "start", str(folder)], environment)  # noqa: S606  it takes this process's place


if __name__ == "__main__":
    main()
