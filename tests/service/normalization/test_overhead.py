import numpy as np
import pytest

from service.normalization.overhead import (
    FEWEST,
    LEARN_EVERY,
    MEASURED_COUNTS,
    REMEMBERED,
    MeasuredOverhead,
    Overhead,
)


def overhead(share: float, *, adding_s: float = 0.0) -> Overhead:
    return Overhead(MeasuredOverhead(share, adding_s))


def serve(learning: Overhead, runs: int, *, plain_s: float, observed_s: float, rows: int = 1) -> None:
    """As many runs of each kind, in turn."""
    for _ in range(runs):
        learning.ran(rows, plain_s)
        learning.ran_observed(rows, observed_s, added=rows)


def test_before_runs_it_is_what_was_measured() -> None:
    """There is nothing else to go by."""
    assert overhead(0.3).share == 0.3


def test_a_few_runs_do_not_overturn_what_was_measured() -> None:
    """Fewer than it counts for."""
    learning = overhead(0.3)

    serve(learning, MEASURED_COUNTS, plain_s=1.0, observed_s=1.6)

    assert learning.share == 0.3


def test_many_runs_do() -> None:
    """It is they that have a cost."""
    learning = overhead(0.3)

    serve(learning, 2 * MEASURED_COUNTS + FEWEST + LEARN_EVERY, plain_s=1.0, observed_s=1.6)

    assert learning.share == pytest.approx(0.6)


def test_what_costs_many_times_a_plain_run_is_learned_too() -> None:
    """As of a network of a few products, of which the probe is most of the work."""
    learning = overhead(2.0)

    serve(learning, 200, plain_s=1.0, observed_s=20.0)

    assert learning.share == pytest.approx(19.0)


def test_what_was_long_ago_is_forgotten() -> None:
    """The load of the night is not that of the day."""
    learning = overhead(0.3)

    serve(learning, 2 * REMEMBERED, plain_s=1.0, observed_s=2.0)
    serve(learning, REMEMBERED, plain_s=1.0, observed_s=1.4)

    assert learning.share == pytest.approx(0.4)


@pytest.mark.parametrize("observed_s", [0.9, 1.0, 1.2])
def test_it_is_no_less_than_what_was_measured(observed_s: float) -> None:
    """Where observed runs seem to cost less that is chance, and a larger share of the runs would be."""
    learning = overhead(0.3)

    serve(learning, REMEMBERED, plain_s=1.0, observed_s=observed_s)

    assert learning.share == 0.3


@pytest.mark.parametrize("times", [20, 1000])
def test_a_first_run_that_takes_long_is_forgotten_at_once(times: int) -> None:
    """Memory is laid out by it, or it waits for another thread."""
    learning = overhead(0.1)

    learning.ran(1, times * 1.0)
    serve(learning, 200, plain_s=1.0, observed_s=1.1)

    assert learning.share == pytest.approx(0.1)


def test_runs_are_compared_with_those_of_as_many_rows() -> None:
    """Were they compared with all, the share would be that of which sizes were observed."""
    learning = overhead(0.1)

    for _ in range(500):
        learning.ran(1, 1.0)
        learning.ran(64, 20.0)
        learning.ran_observed(64, 24.0, added=64)

    assert learning.share == pytest.approx(0.2)


def test_long_runs_count_for_more() -> None:
    """Ten of a second that take twice as long are less time than one of 90 that takes half as long again."""
    learning = overhead(0.3)

    for _ in range(100):
        serve(learning, 10, plain_s=1.0, observed_s=2.0)
        serve(learning, 1, plain_s=90.0, observed_s=135.0, rows=8)

    assert learning.share == pytest.approx(0.5)


def test_adding_up_is_counted() -> None:
    """It is done later, and takes its time all the same; that of padding is not done."""
    learning = overhead(0.3, adding_s=0.1)

    for _ in range(200):
        learning.ran(8, 1.0)
        learning.ran_observed(8, 1.0, added=4)

    assert learning.share == pytest.approx(0.4)


def test_what_the_next_run_takes_longer_is_counted() -> None:
    """It finds the caches full of another graph; what is usual is that of the runs behind it."""
    learning = overhead(0.3)

    for _ in range(200):
        for seconds in (1.1, 1.0, 1.0, 1.0):
            learning.ran(1, seconds)
        learning.ran_observed(1, 1.5, added=1)

    assert learning.share == pytest.approx(0.6)


def test_sizes_of_which_there_were_hardly_plain_runs_tell_nothing() -> None:
    """What is usual is not known."""
    learning = overhead(0.3)

    for _ in range(FEWEST - 1):
        learning.ran(1, 1.0)
    for _ in range(100):
        learning.ran_observed(1, 3.0, added=1)
        learning.ran_observed(2, 3.0, added=2)

    assert learning.share == 0.3


@pytest.mark.parametrize("seed", range(5))
def test_it_is_found_in_noise(seed: int) -> None:
    """Runs of a busy machine differ by a third, and one in a hundred waits for a hundred times as long."""
    random, learning = np.random.default_rng(seed), overhead(0.25)

    def seconds(usual: float) -> float:
        return float(usual * random.lognormal(sigma=0.3) + (random.random() < 0.01) * 100 * usual)

    for _ in range(1000):
        for _ in range(10):
            learning.ran(16, seconds(0.01))
        learning.ran_observed(16, seconds(0.015), added=16)

    assert learning.share == pytest.approx(0.5, abs=0.12)
