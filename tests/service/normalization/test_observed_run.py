import logging

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from models.bundle import Bundle
from models.observed_rows import PROBE_OUTPUTS
from service.errors import EngineError
from service.inference.engine import Engine
from service.normalization.budget import Budget
from service.normalization.monitor import Monitor, WindowRules
from service.normalization.observed_run import ObservedRun
from service.normalization.overhead import MeasuredOverhead, Overhead
from tests.service.normalization.watching import DEVICE, judge_of, observing_engine, sight_of
from tests.service.observing import normal_rows


@pytest.fixture
def plain(bundle: Bundle) -> Engine:
    """The graph."""
    return Engine(bundle.model_path, DEVICE, threads=1)


@pytest.fixture
def monitor(bundle: Bundle) -> Monitor:
    """Takes what is told; every run is observed unless a test says otherwise."""
    rules = WindowRules(rows=512, seconds=300.0)
    made = Monitor(judge_of(bundle), rules, closed=lambda _window: None, wake=lambda: None)
    made.share = 1.0
    return made


def rows_observed(monitor: Monitor) -> int:
    monitor.settle(0.0)
    return monitor.seen().total.rows


def run(observed: ObservedRun, x: NDArray[np.float32], rows: int | None = None) -> list[NDArray[np.float32]]:
    return observed({"x": x}, ["logits"], len(x) if rows is None else rows)


@pytest.mark.parametrize("rows", [1, 2, 8, 33])
def test_the_answers_are_those_of_the_plain_graph(bundle: Bundle, plain: Engine, monitor: Monitor, rows: int) -> None:
    """Of this network bit by bit; in others the runtime may fuse, and so round, something else."""
    x = normal_rows(rows)

    answers = run(ObservedRun(plain, observing_engine(bundle), monitor), x)

    assert len(answers) == 1
    np.testing.assert_array_equal(answers[0], plain.run({"x": x}, ["logits"])[0])


def test_what_the_layers_see_is_taken(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """All rows, and nothing else."""
    x = normal_rows(20)

    run(ObservedRun(plain, observing_engine(bundle), monitor), x)

    monitor.settle(0.0)
    total = monitor.seen().total
    assert total.rows == 20
    np.testing.assert_array_equal(total.moments.mean, sight_of(bundle, x).moments.mean)


def test_padding_is_not_counted(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """It is answered, since it was asked for, but nobody sent it."""
    x = normal_rows(8)

    (answer,) = run(ObservedRun(plain, observing_engine(bundle), monitor), x, rows=3)

    assert len(answer) == 8
    assert (monitor.rows_seen, rows_observed(monitor)) == (3, 3)


def test_of_a_share_of_none_nothing_is_observed(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """Rows that ran are counted all the same."""
    observed = ObservedRun(plain, observing_engine(bundle), monitor)
    monitor.share = 0.0

    for _ in range(50):
        run(observed, normal_rows(2))

    assert (monitor.rows_seen, rows_observed(monitor)) == (100, 0)


def test_of_a_share_of_all_everything_is_observed(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """No run is left to chance."""
    observed = ObservedRun(plain, observing_engine(bundle), monitor)

    for _ in range(50):
        run(observed, normal_rows(2))

    assert (monitor.rows_seen, rows_observed(monitor)) == (100, 100)


def test_a_share_in_between_is_that_of_the_runs(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """Of 2000 runs a quarter is 500; their deviation is 19, and six of those are beyond chance."""
    observed = ObservedRun(plain, observing_engine(bundle), monitor)
    monitor.share = 0.25

    for _ in range(2000):
        run(observed, normal_rows(1))

    assert abs(rows_observed(monitor) - 500) < 6 * 19.4


def failing_engine(bundle: Bundle) -> Engine:
    """A graph that observes, and fails on every batch of more than one row."""
    graph = bundle.observing_graph()
    assert graph is not None
    model = onnx.load_from_string(graph)
    means = PROBE_OUTPUTS[0]
    for node in model.graph.node:
        node.output[:] = ["probe_means" if name == means else name for name in node.output]
        node.input[:] = ["probe_means" if name == means else name for name in node.input]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 3]), "one_row"))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["probe_means", "one_row"], [means]))
    return Engine(model.SerializeToString(), DEVICE, threads=1)


def test_where_the_graph_that_observes_fails_the_plain_one_answers(
    bundle: Bundle, plain: Engine, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    """No request fails by being observed; the log says so once, and no further run is observed."""
    observed, x = ObservedRun(plain, failing_engine(bundle), monitor), normal_rows(2)

    with caplog.at_level(logging.ERROR):
        answers = [run(observed, x)[0] for _ in range(3)]

    for answer in answers:
        np.testing.assert_array_equal(answer, plain.run({"x": x}, ["logits"])[0])
    assert (monitor.share, rows_observed(monitor), monitor.rows_seen) == (0.0, 0, 6)
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith("no row is observed any more")


def test_rows_that_no_graph_can_run_are_refused_and_observing_goes_on(
    bundle: Bundle, plain: Engine, monitor: Monitor
) -> None:
    """It is these rows that are at fault."""
    observed = ObservedRun(plain, observing_engine(bundle), monitor)

    with pytest.raises(EngineError):
        run(observed, np.zeros((1, 7), np.float32))

    assert monitor.share == 1.0


def test_the_share_follows_what_runs_cost(bundle: Bundle, plain: Engine, monitor: Monitor) -> None:
    """Of this network the nodes that observe take as long as all others; it was taken for a thousandth of them."""
    budget = Budget(0.02, Overhead(MeasuredOverhead(0.001, adding_s=0.0)))
    observed, x = ObservedRun(plain, observing_engine(bundle), monitor, budget), normal_rows(64)
    monitor.share = 0.5

    for _ in range(2000):
        run(observed, x)

    assert monitor.share == budget.share
    assert monitor.share < 0.2
