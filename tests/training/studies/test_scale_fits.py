import math

import pytest
import torch

from tests.training.examples import normal_rows
from training.data.splits import Rows
from training.studies.data import StudyData
from training.studies.fitting import Plan
from training.studies.scale_fits import ADAPTED, WITH, WITHOUT, fit_from_scale, fit_with_weight_decay, growing_rate

ROWS = Rows(normal_rows(60, 1, 3, 3), torch.arange(60) % 10)
DATA = StudyData("small", ROWS, ROWS)
PLAN = Plan(steps=20, batch_rows=20, learning_rate=0.1)


def test_the_growing_rate_is_that_of_the_weights_that_decay() -> None:
    """After t steps weights that decay are ``rho^t`` of those that do not, and a rate counts by their square."""
    rho = 1 - 0.1 * 0.01

    assert growing_rate(0.1, 0.01, 0) == pytest.approx(0.1 / rho)
    assert growing_rate(0.1, 0.01, 7) / growing_rate(0.1, 0.01, 6) == pytest.approx(rho**-2)


def test_weight_decay_and_the_growing_rate_are_one_network_at_every_step() -> None:
    outcome = fit_with_weight_decay(DATA, PLAN)

    # 20 steps of sums in float64, each rounded by 1.1e-16
    assert outcome.figures["largest_difference"] < 1e-11
    assert outcome.series["loss_decayed"] == outcome.series["loss_grown"]
    assert outcome.series["loss_decayed"] != outcome.series["loss_neither"]


def test_effective_rates_are_the_same_too_and_rise_where_weights_decay() -> None:
    outcome = fit_with_weight_decay(DATA, PLAN)

    decayed, grown = outcome.series["rate_decayed"], outcome.series["rate_grown"]
    # the growing one is told with its rate of the step, which is ahead of the weights by a factor of rho
    assert grown == pytest.approx(decayed, rel=2e-3)
    assert decayed[-1] > outcome.series["rate_neither"][-1]


def test_weights_of_every_scale_move_alike_by_the_rate_that_fits_their_scale() -> None:
    moved = [fit_from_scale(DATA, PLAN, ADAPTED, scale).figures["moved"] for scale in (0.01, 1.0, 100.0)]

    # sums in float32 part at rectifiers that are just about at 0
    assert moved == pytest.approx([moved[1]] * 3, rel=0.05)


def test_large_weights_move_the_less_by_the_same_rate() -> None:
    moved = [fit_from_scale(DATA, PLAN, WITH, scale).figures["moved"] for scale in (1.0, 1000.0)]

    assert moved[1] < 1e-3 * moved[0]


def test_a_fit_whose_loss_became_infinite_says_when_and_not_how_far() -> None:
    figures = fit_from_scale(DATA, PLAN, WITHOUT, 1e20).figures

    assert 1 <= figures["diverged_at"] <= 20
    assert math.isnan(figures["moved"])
