import math

import pytest
import torch
from torch import nn

from training.studies.networks import perceptron
from training.studies.saturation import derivative, gradient_norms, saturated_shares


def identity_network(nonlinearity: type[nn.Module]) -> nn.Sequential:
    """Its only nonlinearity takes the rows as they are."""
    network = perceptron(1, (1,), nonlinearity, normalized=False, num_classes=2)
    with torch.no_grad():
        network.get_parameter("1.weight").fill_(1)
        network.get_parameter("1.bias").fill_(0)
    return network


@pytest.mark.parametrize(
    ("nonlinearity", "limit"), [(nn.Sigmoid, math.log(19 + math.sqrt(360))), (nn.Tanh, math.atanh(math.sqrt(0.9)))]
)
def test_saturated_is_beyond_where_the_derivative_is_a_tenth_of_its_largest(
    nonlinearity: type[nn.Module], limit: float
) -> None:
    values = torch.tensor([[0.0], [limit - 0.01], [limit + 0.01], [-limit - 0.01], [100.0]])

    shares = saturated_shares(identity_network(nonlinearity), nonlinearity, values)

    assert shares == [pytest.approx(0.6)]


def test_derivatives_are_those_of_the_formula() -> None:
    inputs = torch.tensor([-2.0, 0.0, 3.0])

    torch.testing.assert_close(derivative(torch.tanh, inputs), 1 - torch.tanh(inputs) ** 2)


def test_gradients_through_saturated_units_vanish_and_running_statistics_stay() -> None:
    network = perceptron(4, (3, 3), nn.Sigmoid, normalized=True, num_classes=2)
    values = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(10) % 2
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}

    alive = gradient_norms(network, values, labels)
    with torch.no_grad():
        network.get_parameter("5.bias").fill_(200)  # what the second sigmoid takes is far out
    dead = gradient_norms(network, values, labels)

    assert len(alive) == 3
    assert min(alive) > 0
    assert dead[:2] == [0, 0]
    assert dead[2] > 0
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
