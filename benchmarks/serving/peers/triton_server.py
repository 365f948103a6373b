"""This module is Triton through PyTriton, its HTTP front before a Python model; it runs in PyTriton's environment.

python -m benchmarks.serving.peers.triton_server MODEL.onnx --name NAME --port PORT --threads N --setup SETUP
"""

# mypy: disable-error-code="import-not-found", allow-untyped-decorators, allow-untyped-calls

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.serving.runtime import open_session

MAX_BATCH_SIZE = 64
SETUPS = ("batching", "one-by-one")

Rows = NDArray[np.float32]


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--setup", choices=SETUPS, required=True)
    options = parser.parse_args()
    session = open_session(options.model, threads=options.threads)
    source, result = session.get_inputs()[0], session.get_outputs()[0]

    @batch
    def infer(**inputs: Rows) -> dict[str, Rows]:
        return {result.name: session.run(None, inputs)[0]}

    config = ModelConfig(max_batch_size=MAX_BATCH_SIZE if options.setup == "batching" else 1, batcher=DynamicBatcher())
    front = TritonConfig(
        http_address="127.0.0.1", http_port=options.port, allow_grpc=False, allow_metrics=False, log_verbose=0
    )
    workspace = Path(sys.prefix) / "serving"
    shutil.rmtree(workspace, ignore_errors=True)
    with Triton(config=front, workspace=workspace) as triton:
        triton.bind(
            model_name=options.name,
            infer_func=infer,
            inputs=[Tensor(name=source.name, dtype=np.float32, shape=tuple(source.shape[1:]))],
            outputs=[Tensor(name=result.name, dtype=np.float32, shape=tuple(result.shape[1:]))],
            config=config,
        )
        triton.serve()


if __name__ == "__main__":
    main()
