import math

import pytest
import torch
from torch import nn

from training.data.splits import Rows
from training.studies.fitting import Plan, accuracy, fit, spread_steps
from training.studies.networks import draw_gaussian, perceptron

GENERATOR = torch.Generator().manual_seed(1)
ROWS = Rows(torch.randn(50, 6, generator=GENERATOR), torch.arange(50) % 3)


def network() -> nn.Sequential:
    made = perceptron(6, (5,), nn.Tanh, normalized=True, num_classes=3)
    draw_gaussian(made, None, seed=1)
    return made


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not() -> None:
    fitted = []

    for seed in (1, 1, 2):
        fitted.append(network())
        list(fit(fitted[-1], ROWS, Plan(5, 10, 0.1, seed=seed)))

    first, again, other = (torch.nn.utils.parameters_to_vector(each.parameters()) for each in fitted)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_measuring_between_two_steps_changes_nothing() -> None:
    measured, left_alone = network(), network()

    for _ in fit(measured, ROWS, Plan(5, 10, 0.1)):
        accuracy(measured, ROWS)
    list(fit(left_alone, ROWS, Plan(5, 10, 0.1)))

    for name, value in left_alone.state_dict().items():
        assert torch.equal(measured.state_dict()[name], value), name


def test_every_epoch_meets_every_row_once_in_a_new_order() -> None:
    steps = list(fit(network(), ROWS, Plan(10, 10, 0.1)))

    first, second = (torch.cat([step.values for step in steps[start : start + 5]]) for start in (0, 5))
    assert [step.number for step in steps] == list(range(1, 11))
    assert torch.equal(first.sort(dim=0).values, ROWS.values.sort(dim=0).values)
    assert torch.equal(second.sort(dim=0).values, ROWS.values.sort(dim=0).values)
    assert not torch.equal(first, second)


def test_a_step_is_one_of_gradient_descent() -> None:
    made = nn.Linear(6, 3)
    before = made.weight.detach().clone()
    loss = nn.functional.cross_entropy(made(ROWS.values), ROWS.labels)
    (gradient,) = torch.autograd.grad(loss, made.weight)

    (step,) = fit(made, ROWS, Plan(1, 50, 0.1))

    assert step.loss == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(made.weight.detach(), before - 0.1 * gradient)


def test_a_fit_ends_at_the_first_loss_that_is_not_finite_and_leaves_the_weights_before_it() -> None:
    made = network()
    steps = fit(made, ROWS, Plan(100, 10, 0.1))
    next(steps)
    with torch.no_grad():
        made.get_parameter("4.weight").fill_(math.inf)

    last = next(steps)

    assert (last.number, last.diverged) == (2, True)
    assert list(steps) == []
    assert bool(made.get_parameter("4.weight").isinf().all())


def test_accuracy_is_the_share_of_rows_put_into_their_class() -> None:
    rows = Rows(torch.eye(3)[[0, 1, 2, 0]], torch.tensor([0, 1, 2, 2]))

    assert accuracy(nn.Identity(), rows) == 0.75


def test_steps_are_spread_from_the_first_to_the_last() -> None:
    assert spread_steps(1000, 4) == [1, 10, 100, 1000]
    assert spread_steps(3, 50) == [1, 2, 3]
    assert spread_steps(1, 50) == [1]
