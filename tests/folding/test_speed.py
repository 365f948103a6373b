"""How the speed of two graphs is compared."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from folding.speed import measure_speedup, open_session

SIZE = 256
SECONDS = 0.3


def products(count: int) -> bytes:
    """A graph of so many products with a square matrix, one after another: that many times the work."""
    matrix = np.random.default_rng(0).normal(scale=SIZE**-0.5, size=(SIZE, SIZE)).astype(np.float32)
    names = ["rows", *(f"product_{i}" for i in range(count))]
    nodes = [helper.make_node("MatMul", [a, "matrix"], [b]) for a, b in itertools.pairwise(names)]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", SIZE])],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, ["batch", SIZE])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def feed() -> dict[str, np.ndarray]:
    """Rows enough that a product takes some 0.1 ms, far more than a call does."""
    return {"rows": np.random.default_rng(1).normal(size=(64, SIZE)).astype(np.float32)}


def test_a_graph_is_as_fast_as_itself(feed: dict[str, np.ndarray]) -> None:
    graph = products(2)

    speedup = measure_speedup(graph, graph, feed, seconds=SECONDS)

    # the median of pairs run side by side is within 3 % on an idle machine; a busy one disturbs single pairs far more
    assert 0.75 < speedup < 1.33


def test_a_graph_with_more_work_is_slower(feed: dict[str, np.ndarray]) -> None:
    speedup = measure_speedup(products(2), products(8), feed, seconds=SECONDS)

    # a quarter as fast, on a machine where a call costs nothing and memory is all alike
    assert 0.1 < speedup < 0.6


def test_a_graph_with_less_work_is_faster(feed: dict[str, np.ndarray]) -> None:
    speedup = measure_speedup(products(8), products(2), feed, seconds=SECONDS)

    assert 1.7 < speedup < 10


def test_a_graph_that_is_slower_than_the_time_there_is_is_measured_all_the_same(feed: dict[str, np.ndarray]) -> None:
    graph = products(2)

    speedup = measure_speedup(graph, graph, feed, seconds=0)

    assert 0.5 < speedup < 2  # five pairs, of which the median is taken


def test_a_session_runs_on_one_thread() -> None:
    session = open_session(products(1))

    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session.get_providers() == ["CPUExecutionProvider"]
