import numpy as np
import pytest

from service.normalization.overhead import FEWEST, MeasuredOverhead, Overhead


def overhead(share: float, *, adding_s: float = 0.0) -> Overhead:
    return Overhead(MeasuredOverhead(share, adding_s))


def serve(learning: Overhead, runs: int, *, plain_s: float, observed_s: float, rows: int = 1) -> None:
    """As many runs of each kind, in turn."""
    for _ in range(runs):
        learning.ran(rows, plain_s)
        learning.ran_observed(rows, observed_s)


def test_before_runs_it_is_what_was_measured() -> None:
    """There is nothing else to go by."""
    assert overhead(0.3).share == 0.3


def test_a_few_runs_do_not_overturn_what_was_measured() -> None:
    """One that took long may have waited for what is none of its doing."""
    learning = overhead(0.3)

    serve(learning, 8, plain_s=1.0, observed_s=1.6)

    assert 0.3 < learning.share < 0.4


def test_many_runs_do() -> None:
    """It is they that have a cost."""
    learning = overhead(0.3)

    serve(learning, 2000, plain_s=1.0, observed_s=1.6)

    assert learning.share == pytest.approx(0.6, abs=0.01)


def test_what_was_long_ago_fades() -> None:
    """The load of the night is not that of the day."""
    learning = overhead(0.3)

    serve(learning, 2000, plain_s=1.0, observed_s=2.0)
    serve(learning, 2000, plain_s=1.0, observed_s=1.1)

    assert learning.share == pytest.approx(0.1, abs=0.01)


def test_runs_are_compared_with_those_of_as_many_rows() -> None:
    """Were the mean of all compared, the share would be that of which sizes were observed."""
    learning = overhead(0.3)

    for _ in range(2000):
        learning.ran(1, 1.0)
        learning.ran(64, 20.0)
        learning.ran_observed(64, 24.0)

    assert learning.share == pytest.approx(0.2, abs=0.01)


def test_it_is_the_share_of_all_time() -> None:
    """Of runs of 1 and of 9 seconds, where the short ones take twice as long, a tenth is spent on observing."""
    learning = overhead(0.3)

    for _ in range(4000):
        serve(learning, 1, plain_s=1.0, observed_s=2.0)
        serve(learning, 1, plain_s=9.0, observed_s=9.0, rows=8)

    assert learning.share == pytest.approx(0.1, abs=0.01)


def test_adding_up_is_counted() -> None:
    """It is done later, and takes its time all the same."""
    learning = overhead(0.3, adding_s=0.1)

    serve(learning, 2000, plain_s=1.0, observed_s=1.0, rows=4)

    assert learning.share == pytest.approx(0.4, abs=0.01)


def test_sizes_of_which_there_were_hardly_plain_runs_tell_nothing() -> None:
    """The first run of a size does what is done once."""
    learning = overhead(0.3)

    for _ in range(FEWEST - 1):
        learning.ran(1, 1.0)
    for _ in range(100):
        learning.ran_observed(1, 3.0)
        learning.ran_observed(2, 3.0)

    assert learning.share == 0.3


def test_it_is_found_in_noise() -> None:
    """Runs of a busy machine differ by half, and one in a hundred waits for a second."""
    random, learning = np.random.default_rng(0), overhead(0.1)

    def seconds(usual: float) -> float:
        return float(usual * random.lognormal(sigma=0.5) + (random.random() < 0.01) * 1.0)

    for _ in range(2000):
        for _ in range(20):
            learning.ran(16, seconds(0.01))
        learning.ran_observed(16, seconds(0.015))

    assert learning.share == pytest.approx(0.5, abs=0.2)
