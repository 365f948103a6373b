import math

import pytest
import torch
from torch import nn

from training.data.splits import Rows
from training.studies.data import StudyData
from training.studies.fitting import Plan
from training.studies.learning_rates import fit_and_evaluate

ROWS = Rows(torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4))
DATA = StudyData("unit vectors", ROWS, ROWS)


def guessing() -> nn.Linear:
    """A network that says class 0 of everything, until it is fitted."""
    network = nn.Linear(3, 3)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor([0.01, 0, 0]))
    return network


@pytest.mark.parametrize(("steps", "told"), [(20, 20), (100, 100), (130, 100)])
def test_the_target_is_told_by_the_step_of_the_first_evaluation_that_reaches_it(steps: int, told: int) -> None:
    figures = fit_and_evaluate(guessing(), DATA, Plan(steps, 12, 0.5))

    assert (figures["accuracy"], figures["steps_to_target"]) == (1, told)
    assert math.isnan(figures["diverged_at"])


def test_a_fit_that_stays_with_a_guess_reaches_no_target() -> None:
    figures = fit_and_evaluate(guessing(), DATA, Plan(5, 12, 0.0))

    assert figures["accuracy"] == pytest.approx(1 / 3)
    assert math.isnan(figures["steps_to_target"])
