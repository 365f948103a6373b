from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.warm_up import Arrays, Pace, batch_sizes, repeat_rows, warm_up

SAMPLE = {"x": np.arange(6.0).reshape(3, 2)}


class Runs:
    """In place of an engine: keeps what was run."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        """Give the input back."""
        assert list(outputs) == ["y"]
        self.rows.append(len(inputs["x"]))
        return [inputs["x"]]


def test_every_size_is_run_several_times() -> None:
    runs = Runs()

    pace = warm_up(runs, SAMPLE, ["y"], sizes=[1, 2, 4], budget_s=None)

    assert list(pace.sizes) == [1, 2, 4]
    assert {size: runs.rows.count(size) for size in (1, 2, 4)} == {1: 6, 2: 6, 4: 6}
    assert all(ms > 0 for ms in pace.ms)


def test_the_first_size_is_run_even_without_time() -> None:
    runs = Runs()

    pace = warm_up(runs, SAMPLE, ["y"], sizes=[1, 2, 4], budget_s=0.0)

    assert list(pace.sizes) == [1]


@pytest.mark.parametrize(
    ("max_rows", "sizes"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_sizes_are_the_powers_of_two_and_the_largest_batch(max_rows: int, sizes: list[int]) -> None:
    expected = sizes

    found = batch_sizes(max_rows)

    assert found == expected


def test_rows_are_repeated_from_the_first() -> None:
    expected = [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]

    rows = repeat_rows(SAMPLE, 5)

    assert rows["x"].tolist() == expected


@pytest.mark.parametrize(("rows", "ms"), [(1, 10.0), (2, 12.0), (3, 15.0), (4, 18.0), (8, 36.0), (400, 1800.0)])
def test_the_time_of_a_run_is_told_from_those_that_were_tried(rows: int, ms: float) -> None:
    pace = Pace([1, 2, 4], [10.0, 12.0, 18.0])

    found = pace.ms_of(rows)

    assert found == pytest.approx(ms)


@pytest.mark.parametrize(
    ("ms", "rows"),
    [
        ((10.0, 20.0, 40.0), 1),  # a row takes as long in company
        ((10.0, 19.9, 39.5), 1),  # or next to
        ((10.0, 12.0, 14.0), 4),
        ((10.0, 12.0, 24.0), 2),
        ((10.0, 30.0, 20.0), 4),
    ],
)
def test_a_batch_is_as_large_as_it_pays(ms: tuple[float, ...], rows: int) -> None:
    pace = Pace([1, 2, 4], ms)

    found = pace.batch_rows

    assert found == rows


@given(st.integers(1, 64), st.integers(1, 80))
def test_a_batch_is_padded_to_a_size_that_was_tried(max_rows: int, rows: int) -> None:
    sizes = batch_sizes(max_rows)
    pace = Pace(sizes, [1.0] * len(sizes))

    padded = pace.padded(rows)

    assert padded == (min(size for size in sizes if size >= rows) if rows <= max_rows else rows)
    assert rows <= padded < 2 * rows or rows > max_rows


@pytest.mark.parametrize(("ms", "rows"), [(5.0, 1), (10.0, 1), (19.9, 1), (20.0, 2), (100.0, 4)])
def test_as_many_rows_are_told_as_run_within_a_time(ms: float, rows: int) -> None:
    pace = Pace([1, 2, 4], [10.0, 20.0, 40.0])

    found = pace.rows_within(ms)

    assert found == rows
