import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.data.batches import read_all
from training.data.cutting import Split, make_splits
from training.data.splits import LabelledRows, Rows, Splits
from training.errors import DataError

SHARES = st.floats(0.01, 0.49)


def cut(labels: list[int], split: Split) -> Splits[LabelledRows]:
    """A data set whose values are the numbers of its rows."""
    rows = Rows(torch.arange(float(len(labels)))[:, None], torch.tensor(labels))
    return make_splits("numbers", ("a", "b", "c"), {"train": rows}, split)


@given(st.lists(st.integers(3, 30), min_size=3, max_size=3), SHARES, SHARES, st.integers(0, 2**32 - 1))
def test_every_row_is_in_one_part_and_every_class_in_each(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]

    splits = cut(labels, Split(validation=validation, test=test, seed=seed))

    parts = (splits.train, splits.validation, splits.test)
    assert sorted(int(row) for part in parts for row in read_all(part)) == list(range(len(labels)))
    assert all(set(part.labels.tolist()) == {0, 1, 2} for part in parts)


def test_a_class_is_cut_in_the_shares_that_are_asked_for() -> None:
    splits = cut([0] * 100 + [1] * 50 + [2] * 10, Split(validation=0.2, test=0.1))

    assert torch.bincount(splits.validation.labels).tolist() == [20, 10, 2]
    assert torch.bincount(splits.test.labels).tolist() == [10, 5, 1]


def test_the_cut_depends_on_its_seed_alone() -> None:
    labels = [0, 1, 2] * 20

    one, same, other = (cut(labels, Split(seed=seed)).record().sha256 for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_the_cut_is_the_one_that_published_accuracies_are_of() -> None:
    splits = cut([0, 1, 2] * 4, Split())

    # golden: when it changes, no accuracy can be compared with an older one
    assert read_all(splits.test).flatten().tolist() == [2.0, 9.0, 10.0]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0, 0, 1, 1, 1, 2, 2, 2], "class 'a': expected at least 3 rows, one each for train, validation, test, got 2"),
        ([0, 0, 0, 1, 1, 1], "class 'c': expected at least 3 rows, one each for train, validation, test, got 0"),
        ([1, 1, 1, 1], "expected rows of at least two classes to train on, got only 'b'"),
    ],
)
def test_too_few_rows_are_refused_by_class(labels: list[int], problem: str) -> None:
    with pytest.raises(DataError, match=f"^numbers: {problem}$"):
        cut(labels, Split())


def test_shares_leave_rows_to_train_on() -> None:
    with pytest.raises(ValidationError, match="expected validation and test to be less than all rows together"):
        Split(validation=0.5, test=0.5)
