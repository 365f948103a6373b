"""This module measures how much faster one graph runs than another: in turn, in one run, the median of the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import onnxruntime
from numpy.typing import NDArray

Feed = Mapping[str, NDArray[Any]]

SECONDS = 0.2
SHORTEST_BLOCK_SECONDS = 0.005
FEWEST_PAIRS, MOST_PAIRS = 5, 101


def measure_speedup(before: bytes, after: bytes, feed: Feed, *, seconds: float = SECONDS) -> float:
    """Time of a run of one graph over that of another, by ONNX Runtime on one thread of this machine's CPU.

    Both are run in turn, each as often as takes 5 ms, until the time is up; which goes first alternates.

    Args:
        before: The graph that is compared with.
        after: The graph whose speed is asked for.
        feed: Inputs of both.
        seconds: How long to measure; graphs that are slow get five pairs all the same.

    Returns:
        The median ratio; above 1 where ``after`` is faster.
    """
    sessions = [open_session(model) for model in (before, after)]
    for session in sessions:
        session.run(None, dict(feed))
    repeats = _repeats(sessions[0], feed)
    ratios: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(ratios) < FEWEST_PAIRS or (time.perf_counter() < deadline and len(ratios) < MOST_PAIRS):
        order = (0, 1) if len(ratios) % 2 else (1, 0)
        times = {index: time_runs(sessions[index], feed, repeats) for index in order}
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread, with every optimization that the runtime has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def time_runs(session: onnxruntime.InferenceSession, feed: Feed, repeats: int) -> float:
    """Seconds of processor that so many runs take, one after the other; what else the processor does is not counted.

    A session on one thread runs on the one that calls it.
    """
    started = time.thread_time()
    for _ in range(repeats):
        session.run(None, dict(feed))
    return time.thread_time() - started


def _repeats(session: onnxruntime.InferenceSession, feed: Feed) -> int:
    once = time_runs(session, feed, 1)
    return max(1, round(SHORTEST_BLOCK_SECONDS / max(once, 1e-6)))
