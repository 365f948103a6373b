import pytest
import torch

from training.data import Rows, Splits
from training.drafting import held_out_rows


def numbered(count: int, first: int = 0) -> Rows:
    """Images of 2x3 pixels that all have the row's number."""
    return Rows(torch.arange(first, first + count)[:, None, None, None].expand(-1, 1, 2, 3).float(), torch.zeros(count))


@pytest.mark.parametrize(
    ("values", "expected"),
    [(60, [0, 1, 2, 3, 4, 100, 101]), (18, [0, 2, 4, 100, 101]), (5, [0, 100])],
    ids=["all", "large rows", "one row is larger"],
)
def test_rows_are_held_out_at_even_distances_and_fewer_where_they_are_large(values: int, expected: list[int]) -> None:
    data = Splits("numbers", ("a",), train=numbered(9), validation=numbered(2, first=100), test=numbered(5))

    held_out = held_out_rows(data, values=values)

    assert held_out[:, 0, 0, 0].tolist() == expected
