"""The sample of rows of late: bounded, fair, of rows that recalibration takes."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.normalization.reservoir import HORIZON, Reservoir, ReservoirLimits

MANY_BYTES = 2**30


def reservoir(rows: int, limit: int = MANY_BYTES) -> Reservoir:
    """A reservoir whose choices are the same each time."""
    return Reservoir(ReservoirLimits(rows=rows, bytes=limit), seed=0)


def numbered(start: int, stop: int) -> dict[str, NDArray[np.float32]]:
    """Rows of two values, each row's number twice."""
    return {"x": np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], 2, axis=1)}


def numbers_in(kept: Reservoir) -> list[int]:
    """The numbers of the rows that were kept, ascending."""
    return sorted(kept.rows()["x"][:, 0].astype(int).tolist())


def fill(kept: Reservoir, rows: int, *, at_once: int = 1) -> None:
    """Rows 0 to ``rows``, so many in each request."""
    for start in range(0, rows, at_once):
        kept.keep(numbered(start, min(rows, start + at_once)))


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_every_row_is_kept_while_there_is_room(at_once: int) -> None:
    """Nothing is left to chance before the sample is full."""
    kept = reservoir(8)

    fill(kept, 8, at_once=at_once)

    assert numbers_in(kept) == list(range(8))
    assert len(kept) == 8


def test_a_sample_that_nothing_came_to_is_empty() -> None:
    """There is no row that nobody sent."""
    kept = reservoir(8)

    rows = kept.rows()

    assert (rows, len(kept)) == ({}, 0)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_no_more_rows_are_kept_than_the_limit(at_once: int) -> None:
    """Neither many requests nor large ones take more memory."""
    kept = reservoir(8)

    fill(kept, 1000, at_once=at_once)

    assert len(kept) == len(numbers_in(kept)) == 8


def test_no_more_bytes_are_kept_than_the_limit() -> None:
    """Large rows make a sample of fewer."""
    kept = reservoir(100, limit=3 * 2 * 4 + 1)

    fill(kept, 50)

    assert len(kept) == 3
    assert sum(array.nbytes for array in kept.rows().values()) <= 25


def test_a_row_that_alone_is_too_large_is_not_kept() -> None:
    """The limit of bytes has no exception."""
    kept = reservoir(100, limit=7)

    fill(kept, 50)

    assert len(kept) == 0


@pytest.mark.parametrize("at_once", [1, 10])
def test_within_the_horizon_every_row_is_kept_as_often_as_any_other(at_once: int) -> None:
    """Algorithm R: of 40 rows, 10 at a time, each is in a quarter of many samples."""
    rounds, rows, capacity = 500, 40, 10
    counts = np.zeros(rows)

    for seed in range(rounds):
        kept = Reservoir(ReservoirLimits(rows=capacity, bytes=MANY_BYTES), seed=seed)
        fill(kept, rows, at_once=at_once)
        counts[numbers_in(kept)] += 1

    # of 40 counts none should be 5 standard deviations off: chance would make one so in 1 of 40,000 runs
    share = capacity / rows
    assert np.abs(counts - rounds * share).max() < 5 * np.sqrt(rounds * share * (1 - share))


def test_beyond_the_horizon_rows_fade() -> None:
    """The mean age is a horizon, so that what the sample shows is the data of now."""
    capacity, horizons = 500, 6
    kept = reservoir(capacity)
    rows = horizons * HORIZON * capacity

    fill(kept, rows, at_once=100)

    ages = rows - np.array(numbers_in(kept))
    horizon = HORIZON * capacity
    # an exponential of 500 values has a mean that is off by 1/sqrt(500); 4 of these
    assert ages.mean() == pytest.approx(horizon, rel=4 / np.sqrt(capacity))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_not_kept(bad: float) -> None:
    """Recalibration refuses them, so that one would spoil the whole sample."""
    rows = numbered(0, 4)
    rows["x"][1, 1] = bad
    kept = reservoir(8)

    kept.keep(rows)

    assert numbers_in(kept) == [0, 2, 3]


@pytest.mark.parametrize(
    "other",
    [np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float64), np.zeros((1, 2, 1), np.float32)],
    ids=["length", "datatype", "dimensions"],
)
def test_rows_of_another_form_are_not_kept(other: NDArray[Any]) -> None:
    """A batch is of one shape; the first row that comes says of which."""
    kept = reservoir(8)
    kept.keep(numbered(0, 2))

    kept.keep({"x": other})

    assert numbers_in(kept) == [0, 1]


def test_strings_are_not_kept() -> None:
    """There are no statistics of strings."""
    strings = np.empty((1, 1), object)
    strings[0, 0] = b"a"
    kept = reservoir(8)

    kept.keep({"x": strings})

    assert len(kept) == 0


def test_inputs_of_one_row_stay_together() -> None:
    """The second input of a row is that of the same request, however often places are taken anew."""
    kept = reservoir(8)

    for start in range(0, 500, 5):
        rows = numbered(start, start + 5)["x"]
        kept.keep({"x": rows, "y": 10 * rows[:, :1]})

    sample = kept.rows()
    np.testing.assert_array_equal(sample["y"][:, 0], 10 * sample["x"][:, 0])


def test_what_was_kept_is_a_copy() -> None:
    """Neither the memory of a request nor that of whoever looks is shared."""
    rows = numbered(0, 2)
    kept = reservoir(8)

    kept.keep(rows)
    rows["x"][:] = -1
    kept.rows()["x"][:] = -2

    assert numbers_in(kept) == [0, 1]
