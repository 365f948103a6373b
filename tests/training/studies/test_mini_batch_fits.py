import torch
from torch import nn

from tests.training.examples import normal_rows
from training.data.splits import Rows
from training.studies.fitting import Plan
from training.studies.mini_batch_fits import accuracy_by_batches, some_batches

ROWS = Rows(normal_rows(50, 3), torch.arange(50) % 2)


class OfItsBatch(nn.Module):
    """Is right about all rows of a batch, if they are as many as it is told."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits ``(rows, 2)``."""
        right = nn.functional.one_hot((values[:, 0] > 0).long(), 2).float()
        return right if len(values) == self.rows else -right


def test_rows_are_tested_in_whole_batches_of_the_size_that_was_fitted_to() -> None:
    labels = (ROWS.values[:, 0] > 0).long()

    share = accuracy_by_batches(OfItsBatch(16), Rows(ROWS.values, labels), Plan(1, 16, 0.1))

    assert share == 1


def test_fewer_rows_than_a_batch_are_tested_in_one() -> None:
    labels = (ROWS.values[:, 0] > 0).long()

    share = accuracy_by_batches(OfItsBatch(50), Rows(ROWS.values, labels), Plan(1, 64, 0.1))

    assert share == 1


def test_batches_to_estimate_by_are_whole_and_repeat_no_row() -> None:
    batches = some_batches(ROWS, 40, Plan(1, 16, 0.1))

    assert [len(batch) for batch in batches] == [16, 16]
    assert len({tuple(row) for row in torch.cat(batches).tolist()}) == 32
