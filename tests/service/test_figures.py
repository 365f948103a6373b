import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.figures import ROWS, SECONDS, Histogram, VersionFigures
from service.inference.job import Outcome, RunTimes


def outcome(queue_s: float = 0.0, compute_s: float = 0.0) -> Outcome:
    return Outcome([], queue_s, compute_s)


@pytest.mark.parametrize(("seconds", "edge"), [(0.0002, 0.0005), (0.03, 0.05), (0.05, 0.05), (10.0, 10.0)])
def test_a_value_falls_into_the_first_interval_that_holds_it(seconds: float, edge: float) -> None:
    histogram = Histogram.of(SECONDS)

    histogram.observe(seconds)

    assert histogram.counts[SECONDS.index(edge)] == 1
    assert (histogram.count, histogram.total) == (1, seconds)


def test_a_value_beyond_all_bounds_falls_into_the_last_interval() -> None:
    histogram = Histogram.of(ROWS)

    histogram.observe(257)

    assert histogram.counts == [0] * len(ROWS) + [1]


def test_an_answer_counts_a_request_its_rows_and_its_times() -> None:
    figures = VersionFigures()

    figures.answered(rows=5, seconds=0.03, outcome=outcome(0.001, 0.02))
    figures.answered(rows=2, seconds=0.25, outcome=outcome(0.002, 0.1))

    assert (figures.requests, figures.rows, figures.failed_seconds) == ({200: 2}, 7, 0.0)
    assert figures.request_seconds.total == pytest.approx(0.28)
    assert figures.queue_seconds.total == pytest.approx(0.003)
    assert figures.compute_seconds.total == pytest.approx(0.12)
    assert figures.request_seconds.count == figures.queue_seconds.count == figures.compute_seconds.count == 2


def test_a_refusal_counts_a_request_and_its_time_and_nothing_else() -> None:
    figures = VersionFigures()

    figures.refused(status=400, seconds=0.1)
    figures.refused(status=500, seconds=0.2)
    figures.refused(status=500, seconds=0.3)

    assert figures.requests == {400: 1, 500: 2}
    assert figures.failed_seconds == pytest.approx(0.6)
    assert (figures.rows, figures.request_seconds.count) == (0, 0)


def test_a_run_counts_once_and_its_times_for_each_request_in_it() -> None:
    figures = VersionFigures()

    figures.ran(RunTimes(rows=5, requests=2, input_s=0.1, infer_s=0.2, output_s=0.3))

    assert (figures.batch_rows.count, figures.batch_rows.total) == (1, 5)
    times = figures.input_seconds, figures.infer_seconds, figures.output_seconds
    assert times == pytest.approx((0.2, 0.4, 0.6))
    assert figures.last_run > 0


EVENTS = st.lists(
    st.one_of(
        st.builds(lambda rows, s: ("answered", rows, s), st.integers(1, 99), st.floats(0, 20)),
        st.builds(lambda status, s: ("refused", status, s), st.sampled_from([400, 429, 500]), st.floats(0, 20)),
        st.builds(lambda rows, s: ("ran", rows, s), st.integers(1, 999), st.floats(0, 20)),
    )
)


def after(events: list[tuple[str, int, float]]) -> VersionFigures:
    figures = VersionFigures()
    for kind, number, seconds in events:
        match kind:
            case "answered":
                figures.answered(rows=number, seconds=seconds, outcome=outcome(seconds, seconds))
            case "refused":
                figures.refused(status=number, seconds=seconds)
            case _:
                figures.ran(RunTimes(number, 1, seconds, seconds, seconds))
    return figures


@given(EVENTS, EVENTS)
def test_the_figures_of_two_processes_add_up_to_those_of_one(
    first: list[tuple[str, int, float]], second: list[tuple[str, int, float]]
) -> None:
    together, one = after(first + second), after(first)

    one.add(after(second))

    assert one.requests == together.requests
    assert one.rows == together.rows
    for name in ("request_seconds", "queue_seconds", "compute_seconds", "batch_rows"):
        assert getattr(one, name).counts == getattr(together, name).counts
        assert getattr(one, name).total == pytest.approx(getattr(together, name).total)
    assert one.infer_seconds == pytest.approx(together.infer_seconds)
