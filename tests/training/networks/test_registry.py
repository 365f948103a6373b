import re

import pytest

from tests.training.networks.small import small_network
from training.errors import RecipeError
from training.networks import NETWORKS, build_network, describe_networks


def test_an_unknown_network_is_refused_with_those_that_there_are() -> None:
    names = ", ".join(NETWORKS)

    with pytest.raises(RecipeError) as refusal:
        build_network("transformer", {})

    assert str(refusal.value) == f"network: expected one of {names}, timm/NAME or torchvision/NAME, got 'transformer'"


@pytest.mark.parametrize(
    ("name", "meant"), [("resnet-18", "resnet18"), ("vgg16_bn", "vgg16"), ("mobilenet", "mobilenetv2")]
)
def test_a_mistyped_network_is_refused_with_the_one_that_may_be_meant(name: str, meant: str) -> None:
    with pytest.raises(RecipeError, match=rf", got '{name}'; did you mean {meant}\?$"):
        build_network(name, {})


@pytest.mark.parametrize("name", ["keras/resnet18", "resnet/18", "/resnet18", "timm"])
def test_a_package_that_is_not_known_is_an_unknown_network(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"^network: expected one of .*, got '{name}'"):
        build_network(name, {})


def test_an_argument_that_a_network_does_not_take_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"^network mlp: arguments: .*'depth'"):
        build_network("mlp", {"depth": 3})


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [("vgg16", "depth", 11), ("resnet18", "depth", 50), ("densenet121", "block_layers", [1])],
)
def test_an_argument_that_the_name_stands_for_is_refused(name: str, argument: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"^network {name}: arguments: .* multiple values for argument '{argument}'"):
        build_network(name, {argument: value})


def test_what_a_network_says_against_an_argument_is_said_in_one_sentence() -> None:
    with pytest.raises(RecipeError) as refusal:
        build_network("resnet18", {"stem": "cifar"})

    assert str(refusal.value) == "network resnet18: arguments: stem: expected one of imagenet, small, got 'cifar'"


def test_every_network_is_described_in_the_order_of_the_registry() -> None:
    described = describe_networks()

    assert [description.name for description in described] == list(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_description_is_one_line_that_ends_with_its_paper(name: str) -> None:
    (found,) = [network.description for network in describe_networks() if network.name == name]

    assert re.fullmatch(r"[^\n]{20,90} \([^()]*[A-Z][^()]* 20[0-9]{2}[^()]*\)\.", found)


def test_a_description_says_the_defaults_of_the_arguments_that_can_be_given() -> None:
    (found,) = [description for description in describe_networks() if description.name == "resnet18"]

    assert found.description == "Residual blocks that normalize after every convolution (He et al. 2016a)."
    assert found.defaults == "in_channels=3, num_classes=1000, stem='imagenet', width=1.0"


def test_the_same_seed_builds_the_same_network() -> None:
    first, second = small_network("resnet18", seed=3), small_network("resnet18", seed=3)

    assert first.state_dict().keys() == second.state_dict().keys()
    assert all(bool((tensor == second.state_dict()[name]).all()) for name, tensor in first.state_dict().items())
