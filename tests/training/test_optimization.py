import pytest
import torch
from torch.optim import SGD, AdamW

from tests.training.blobs import network, recipe
from training.networks.convnet import ConvNet
from training.optimization import make_optimizer


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_kernels_and_matrices_decay_and_nothing_else_does(name: str) -> None:
    convnet = ConvNet(widths=(4,))

    optimizer = make_optimizer(convnet, recipe(optimizer=name, weight_decay=0.5))

    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: decays[id(parameter)] for name, parameter in convnet.named_parameters()}
    assert found == {
        "features.0.weight": 0.5,
        "features.1.weight": 0.0,
        "features.1.bias": 0.0,
        "classifier.weight": 0.5,
        "classifier.bias": 0.0,
    }


def test_a_frozen_parameter_is_none_of_the_optimizers() -> None:
    mlp = network()
    mlp.classifier.weight.requires_grad_(False)

    optimizer = make_optimizer(mlp, recipe())

    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert id(mlp.classifier.weight) not in moved
    assert id(mlp.classifier.bias) in moved


def test_sgd_has_the_recipes_momentum_by_nesterov() -> None:
    optimizer = make_optimizer(network(), recipe(optimizer="sgd", momentum=0.8))

    assert isinstance(optimizer, SGD)
    assert {(group["momentum"], group["nesterov"]) for group in optimizer.param_groups} == {(0.8, True)}


def test_sgd_without_momentum_is_the_plain_rule() -> None:
    mlp = network()
    before = mlp.classifier.bias.detach().clone()
    optimizer = make_optimizer(mlp, recipe(optimizer="sgd", momentum=0.0, learning_rate=0.5))
    mlp.classifier.bias.grad = torch.ones_like(before)

    optimizer.step()

    torch.testing.assert_close(mlp.classifier.bias.detach(), before - 0.5)


def test_adamw_is_the_default() -> None:
    assert isinstance(make_optimizer(network(), recipe()), AdamW)
