from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.data.batches import Share, ShuffledBatches
from training.data.class_balance import class_weights, draw_balanced
from training.data.splits import Rows

LABELS = torch.tensor([0] * 50 + [1] * 7 + [2] * 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 2**31))
def test_every_class_is_drawn_as_often_as_another(labels: list[int], seed: int) -> None:
    drawn = draw_balanced(torch.tensor(labels), torch.Generator().manual_seed(seed))

    classes = Counter(labels[row] for row in drawn.tolist())
    assert len(drawn) == len(labels)
    if len(labels) >= len(set(labels)):
        assert classes.keys() == set(labels)
    assert max(classes.values()) - min(classes.values()) <= 1


def test_rows_of_a_class_are_drawn_in_turn() -> None:
    drawn = Counter(draw_balanced(LABELS, torch.Generator().manual_seed(0)).tolist())

    of_third = [drawn[row] for row in range(57, 60)]
    assert sorted(of_third) == [6, 7, 7]
    assert all(drawn[row] <= 1 for row in range(50))


def test_balanced_batches_are_the_same_for_every_process_and_step() -> None:
    rows = Rows(torch.arange(60.0)[:, None], LABELS)
    whole = list(ShuffledBatches(rows, 10, seed=3, balanced=True))

    second = list(ShuffledBatches(rows, 10, seed=3, balanced=True, share=Share(1, 2)))
    resumed = ShuffledBatches(rows, 10, seed=3, balanced=True)
    resumed.seek(4)

    assert all(torch.equal(values[5:], part) for (values, _), (part, _) in zip(whole, second, strict=True))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(whole[4:], resumed, strict=True))


def test_weighted_classes_count_alike_in_the_loss() -> None:
    weights = class_weights(LABELS, 3)

    by_class = torch.stack([weights[LABELS[number == LABELS]].sum() for number in range(3)])
    loss = nn.functional.cross_entropy(torch.zeros(60, 3), LABELS, weight=weights, reduction="sum")
    torch.testing.assert_close(by_class, torch.full((3,), 20.0))
    assert float(loss) == pytest.approx(60 * float(torch.tensor(3.0).log()))


def test_a_class_without_rows_weighs_nothing() -> None:
    assert class_weights(torch.tensor([0, 0, 2, 2]), 3).tolist() == [1.0, 0.0, 1.0]
