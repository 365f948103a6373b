"""This module opens the session that every contender runs: it imports the runtime alone, so peers can import it too."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(model_path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """A session with every optimization that the runtime has, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
