"""This module measures the runtime alone: ``session.run`` in a process of its own, with no server and no client.

python -m benchmarks.serving.session MODEL.onnx --threads N --rows 1 --rows 16 --seconds 2
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict

from benchmarks.serving.networks import Rows
from benchmarks.serving.runtime import open_session


class SessionTime(BaseModel):
    """How fast runs of so many rows are: the median time of a run, and the rows a second of all runs together."""

    model_config = ConfigDict(frozen=True)

    rows: int
    rows_per_s: float
    run_ms: float


class SessionTimes(BaseModel):
    """By number of rows."""

    model_config = ConfigDict(frozen=True)

    times: tuple[SessionTime, ...]


def main() -> int:
    """Measure, and write what was measured to stdout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.session")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rows", type=int, action="append", required=True)
    parser.add_argument("--seconds", type=float, required=True, help="for each number of rows")
    options = parser.parse_args()
    session = open_session(options.model, threads=options.threads)
    times = tuple(measure(session, rows, options.seconds) for rows in options.rows)
    print(SessionTimes(times=times).model_dump_json())
    return 0


def measure(session: onnxruntime.InferenceSession, rows: int, seconds: float) -> SessionTime:
    """Run a session for so many seconds, after a tenth of them that is not counted."""
    source = session.get_inputs()[0]
    batch = np.random.default_rng(0).standard_normal((rows, *source.shape[1:]), dtype=np.float32)
    _run(session, source.name, batch, seconds / 10)
    times = _run(session, source.name, batch, seconds)
    return SessionTime(rows=rows, rows_per_s=rows * len(times) / sum(times), run_ms=1e3 * statistics.median(times))


def _run(session: onnxruntime.InferenceSession, name: str, batch: Rows, seconds: float) -> list[float]:
    times: list[float] = []
    now = time.perf_counter()
    deadline = now + seconds
    while now < deadline:
        started = now
        session.run(None, {name: batch})
        now = time.perf_counter()
        times.append(now - started)
    return times


if __name__ == "__main__":
    sys.exit(main())
