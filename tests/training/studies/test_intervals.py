import math

import pytest

from training.studies.intervals import difference_and_interval, half_width, mean_and_interval


def test_the_interval_is_students() -> None:
    # t(0.975, 2) = 4.302653, s = 1, n = 3
    assert half_width([1, 2, 3]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_equal_values_leave_no_doubt_and_one_value_tells_nothing_of_it() -> None:
    assert half_width([2, 2, 2]) == 0
    assert math.isnan(half_width([2]))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.01, 0.02, 0.03], "2.00 ± 2.48"),
        ([0.02], "2.00"),
        ([0.02, math.nan, math.nan], "2.00 (1 of 3)"),
        ([0.01, 0.02, 0.03, math.nan], "2.00 ± 2.48 (3 of 4)"),
        ([math.nan, math.inf], "none"),
    ],
)
def test_what_is_no_number_is_left_out_and_said(values: list[float], text: str) -> None:
    assert mean_and_interval(values, scale=100) == text


@pytest.mark.parametrize(
    ("values", "others", "text"),
    [
        ([0.91, 0.95, 0.99], [0.90, 0.94, 0.98], "**+1.00 ± 0.00**"),  # by themselves they are 95 ± 10 and 94 ± 10
        ([0.90, 0.94, 0.98], [0.91, 0.96, 1.01], "-2.00 ± 2.48"),
        ([0.90, 0.94], [0.90, 0.94], "0.00 ± 0.00"),
        ([0.90], [0.80], "+10.00"),
        ([0.91, 0.95, math.nan], [0.90, 0.94, 0.98], "**+1.00 ± 0.00 (2 of 3)**"),
        ([math.nan, math.inf], [0.90, 0.94], "none"),
    ],
)
def test_differences_are_taken_seed_by_seed_and_bold_where_their_interval_leaves_0_out(
    values: list[float], others: list[float], text: str
) -> None:
    assert difference_and_interval(values, others, scale=100) == text
