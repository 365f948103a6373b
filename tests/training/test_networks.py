import pytest
import torch
from torch import nn

from training.errors import RecipeError
from training.networks import NETWORKS, build_network
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP
from training.normalization import normalization_layers


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_turns_rows_into_logits(name: str) -> None:
    network = build_network(name, {"num_classes": 7}).eval()

    logits = network(torch.zeros(5, 1, 8, 8))

    assert logits.shape == (5, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_of_every_network_is_learned(name: str) -> None:
    network = build_network(name, {}).train()
    rows = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    torch.autograd.backward(nn.functional.cross_entropy(network(rows), torch.arange(16) % 10))

    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_normalizes_once_a_width(name: str) -> None:
    widths = [6, 6, 12]

    network = build_network(name, {"widths": widths})

    assert [layer.num_features for layer in normalization_layers(network).values()] == widths


def test_a_convnet_halves_the_image_where_it_widens() -> None:
    network = ConvNet(in_channels=2, widths=(4, 4, 8, 16)).eval()

    features = network.features(torch.zeros(1, 2, 12, 20))

    assert features.shape == (1, 16, 3, 5)


def test_a_convnet_takes_images_of_any_size() -> None:
    network = ConvNet().eval()

    shapes = {network(torch.zeros(2, 1, size, size + 1)).shape for size in (2, 8, 17)}

    assert shapes == {(2, 10)}


@pytest.mark.parametrize("network", [ConvNet(), MLP()])
def test_no_layer_learns_a_bias_that_a_normalization_would_take_away(network: nn.Module) -> None:
    modules = list(network.modules())

    biased = [m for m in modules if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None]

    assert [type(m).__name__ for m in biased] == ["Linear"]  # the classifier, behind which none is


def test_an_mlp_takes_rows_of_any_shape_with_as_many_values() -> None:
    network = MLP(in_features=24).eval()
    values = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))

    logits = [network(values.reshape(3, *shape)) for shape in ((24,), (4, 6), (1, 2, 12))]

    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_an_unknown_network_is_refused_with_those_that_there_are() -> None:
    names = ", ".join(NETWORKS)

    with pytest.raises(RecipeError) as refusal:
        build_network("transformer", {})

    assert str(refusal.value) == f"network: expected one of {names}, got 'transformer'"


def test_an_argument_that_a_network_does_not_take_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"^network mlp: arguments: .*'depth'"):
        build_network("mlp", {"depth": 3})
