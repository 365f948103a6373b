import math

import pytest
import torch
from torch import nn

from training.data.splits import Rows
from training.studies.generalization import Generalization, Performance


class Sure(nn.Module):
    """Gives the class that stands in the row ``advantage`` more than the other one."""

    def __init__(self, advantage: float) -> None:
        super().__init__()
        self.advantage = advantage

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits ``(rows, 2)``."""
        return self.advantage * nn.functional.one_hot(values[:, 0].long(), 2).float()


def test_loss_and_accuracy_are_those_of_logits_that_are_known() -> None:
    said, labels = torch.tensor([[0.0], [1.0], [1.0], [0.0]]), torch.tensor([0, 1, 1, 1])

    performance = Performance.on(Sure(math.log(3)), Rows(said, labels))

    # three rows have their class by 3 to 1, one by 1 to 3
    assert performance.accuracy == 0.75
    assert performance.loss == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4, rel=1e-6)


def test_more_rows_than_a_batch_are_averaged_over_all_of_them() -> None:
    said = torch.zeros(1500, 1)
    labels = torch.cat([torch.zeros(1000), torch.ones(500)]).long()

    performance = Performance.on(Sure(1.0), Rows(said, labels))

    assert performance.accuracy == pytest.approx(2 / 3)


def test_a_gap_is_positive_where_training_rows_do_better() -> None:
    fitted, unseen = Performance(loss=0.25, accuracy=1.0), Performance(loss=1.0, accuracy=0.75)

    figures = Generalization(fitted, unseen).figures()

    assert (figures["loss_gap"], figures["accuracy_gap"]) == (0.75, 0.25)
