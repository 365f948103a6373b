import pytest
import torch
from torch import nn

from training.studies.networks import draw_gaussian, inputs_of, perceptron


def test_normalization_stands_before_every_nonlinearity_in_place_of_the_bias() -> None:
    network = perceptron(4, (3, 2), nn.Sigmoid, normalized=True)

    kinds = [type(module).__name__ for module in network]
    assert kinds == ["Flatten", *(2 * ["Linear", "BatchNorm1d", "Sigmoid"]), "Linear"]
    assert [module.bias is None for module in network if isinstance(module, nn.Linear)] == [True, True, False]


def test_both_networks_of_a_seed_start_with_the_same_weights() -> None:
    networks = [perceptron(4, (3, 2), nn.Sigmoid, normalized=normalized) for normalized in (True, False)]

    for network in networks:
        draw_gaussian(network, 0.1, seed=3)

    with_, without = ([m.weight for m in network if isinstance(m, nn.Linear)] for network in networks)
    assert all(torch.equal(a, b) for a, b in zip(with_, without, strict=True))


@pytest.mark.parametrize(("deviation", "expected"), [(0.02, 0.02), (None, (2 / 1000) ** 0.5)])
def test_weights_have_the_deviation_that_is_asked_for_or_glorots(deviation: float | None, expected: float) -> None:
    network = perceptron(600, (400,), nn.Tanh, normalized=False)

    draw_gaussian(network, deviation, seed=0)

    assert network.get_parameter("1.weight").std().item() == pytest.approx(expected, rel=0.01)  # of 240,000 values
    assert network.get_parameter("1.bias").abs().max().item() == 0


def test_what_layers_take_is_seen_and_running_statistics_stay() -> None:
    network = perceptron(4, (3, 2), nn.Tanh, normalized=True)
    values = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}

    first, second = inputs_of(network, nn.Tanh, values)

    assert (first.shape, second.shape) == ((10, 3), (10, 2))
    torch.testing.assert_close(second.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)  # normalized over these rows
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
