import math

import pytest
import torch

from tests.training.blobs import network, recipe
from training.errors import RecipeError
from training.optimization import make_optimizer
from training.recipe import Recipe
from training.schedules import check_schedule, make_schedule


def learning_rates(of: Recipe, steps: int) -> list[float]:
    """What every step is made with."""
    optimizer = make_optimizer(network(), of)
    schedule = make_schedule(optimizer, of, steps=steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_one_cycle_rises_to_the_recipes_rate_and_falls_to_nearly_nothing() -> None:
    rates = learning_rates(recipe(learning_rate=1.0), steps=100)

    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 29  # 30 % of the way
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] < 1e-5


def test_cosine_falls_from_the_recipes_rate_to_zero() -> None:
    rates = learning_rates(recipe(learning_rate=2.0, schedule="cosine"), steps=10)

    assert rates == pytest.approx([1 + math.cos(math.pi * step / 10) for step in range(10)])


def test_constant_stays() -> None:
    rates = learning_rates(recipe(learning_rate=0.3, schedule="constant"), steps=5)

    assert rates == pytest.approx([0.3] * 5)


def test_a_warm_up_rises_in_equal_steps_and_then_the_schedule_sets_in() -> None:
    rates = learning_rates(recipe(epochs=4, learning_rate=1.0, schedule="cosine", warmup_epochs=2), steps=8)

    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[4:] == pytest.approx([(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)])


def test_a_warm_up_may_end_within_an_epoch() -> None:
    rates = learning_rates(recipe(epochs=2, learning_rate=1.0, schedule="constant", warmup_epochs=0.5), steps=8)

    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_warm_up_that_is_rounded_to_all_steps_leaves_the_last_one(schedule: str) -> None:
    rates = learning_rates(recipe(epochs=1, learning_rate=1.0, schedule=schedule, warmup_epochs=0.8), steps=2)

    assert rates == [1.0, 1.0]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_a_fit_of_one_step_has_a_rate(schedule: str) -> None:
    (rate,) = learning_rates(recipe(epochs=1, schedule=schedule), steps=1)

    assert 0 < rate <= 0.05


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"warmup_epochs": 1}, "warmup_epochs: expected 0 with one-cycle, which rises by itself, got 1"),
        (
            {"warmup_epochs": 2, "schedule": "cosine"},
            "warmup_epochs: expected less than all epochs, which are 2, got 2",
        ),
        (
            {"optimizer": "sgd", "momentum": 0.5},
            "momentum: expected 0.9, its default, with one-cycle, which runs it between 0.95 and 0.85 by itself, "
            "got 0.5",
        ),
        (
            {"optimizer": "adamw", "momentum": 0.5, "schedule": "constant"},
            "momentum: expected 0.9, its default, with adamw, which has moments of its own, got 0.5",
        ),
    ],
)
def test_what_the_schedule_has_no_place_for_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        check_schedule(recipe(**changes))

    assert str(refusal.value) == problem


def test_a_schedule_goes_on_from_its_state() -> None:
    kind = recipe(schedule="cosine", warmup_epochs=1)
    optimizer, other = (make_optimizer(network(), kind) for _ in range(2))
    schedule = make_schedule(optimizer, kind, steps=6)
    for _ in range(4):
        optimizer.step()
        schedule.step()

    resumed = make_schedule(other, kind, steps=6)
    resumed.load_state_dict(schedule.state_dict())
    other.load_state_dict(optimizer.state_dict())

    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    assert torch.tensor(resumed.get_last_lr()).equal(torch.tensor(schedule.get_last_lr()))
