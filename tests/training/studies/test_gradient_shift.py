import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.splits import Rows
from training.studies.fitting import Plan, fit
from training.studies.gradient_shift import gradient_shifts, parameters_of
from training.studies.networks import draw_gaussian, perceptron

GENERATOR = torch.Generator().manual_seed(1)
VALUES, LABELS = torch.randn(20, 6, generator=GENERATOR), torch.arange(20) % 3
LINEARS = {True: (1, 4, 7), False: (1, 3, 5)}


def stepped(normalized: bool, learning_rate: float = 0.5) -> tuple[nn.Sequential, nn.Sequential]:
    """A network of three linear layers after a step, and a copy of it before."""
    network = perceptron(6, (5, 4), nn.Sigmoid, normalized=normalized, num_classes=3)
    draw_gaussian(network, None, seed=1)
    before = copy.deepcopy(network)
    list(fit(network, Rows(VALUES, LABELS), Plan(1, 20, learning_rate)))
    return network, before


def gradient(network: nn.Sequential, layer: int) -> Tensor:
    loss = functional.cross_entropy(network(VALUES), LABELS)
    return torch.autograd.grad(loss, network.get_parameter(f"{layer}.weight"))[0]


@pytest.mark.parametrize("normalized", [True, False])
def test_nothing_moves_before_the_first_layer_and_something_before_the_others(normalized: bool) -> None:
    network, before = stepped(normalized)

    first, *others = gradient_shifts(network, parameters_of(before), VALUES, LABELS)

    assert (first.distance, first.relative) == (0, 0)
    assert first.cosine == pytest.approx(1, abs=1e-6)
    assert len(others) == 2
    assert all(shift.distance > 1e-6 for shift in others)


@pytest.mark.parametrize("normalized", [True, False])
def test_the_shift_is_that_of_a_network_put_together_by_hand(normalized: bool) -> None:
    network, before = stepped(normalized)
    mixed = copy.deepcopy(before)
    layer = LINEARS[normalized][2]
    mixed[:layer].load_state_dict(network[:layer].state_dict())
    told, now = gradient(before, layer), gradient(mixed, layer)

    shift = gradient_shifts(network, parameters_of(before), VALUES, LABELS)[2]

    assert shift.distance == pytest.approx(float((told - now).norm()), rel=1e-4)
    assert shift.relative == pytest.approx(float((told - now).norm() / told.norm()), rel=1e-4)
    assert shift.cosine == pytest.approx(float((told * now).sum() / (told.norm() * now.norm())), abs=1e-5)


def test_without_a_step_there_is_no_shift() -> None:
    network, before = stepped(normalized=True, learning_rate=0.0)

    shifts = gradient_shifts(network, parameters_of(before), VALUES, LABELS)

    assert [shift.distance for shift in shifts] == [0, 0, 0]


def test_measuring_leaves_the_network_as_it_is() -> None:
    network, before = stepped(normalized=True)
    state = copy.deepcopy(network.state_dict())

    gradient_shifts(network, parameters_of(before), VALUES, LABELS)

    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
