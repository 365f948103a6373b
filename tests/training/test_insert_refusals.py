"""What can't be normalized is refused in one sentence that says what to name instead, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.normalization import Normalization
from tests.training.examples import Forward, normal_rows
from training.errors import ExportError, RecipeError
from training.insert import insert, normalize
from training.networks import build_network


def mlp() -> nn.Module:
    return build_network("mlp", {"in_features": 6, "widths": [5], "num_classes": 3})


def bare() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3))


def shared() -> nn.Module:
    return Forward(
        lambda self, rows: self.act(self.b(self.act(self.a(rows)))), a=nn.Linear(6, 5), b=nn.Linear(5, 4), act=nn.ReLU()
    )


def repeated() -> nn.Module:
    return Forward(lambda self, rows: self.a(self.a(rows)), a=nn.Linear(6, 6))


def functional_relu() -> nn.Module:
    return Forward(lambda self, rows: functional.relu(self.a(rows)), a=nn.Linear(6, 5), b=nn.Linear(2, 2))


def parted() -> nn.Module:
    layer = nn.Linear(6, 5)
    layer.register_module("normalization", nn.Identity())
    return nn.Sequential(layer)


def unbound() -> nn.Module:
    return Forward(lambda self, rows: (self.a(rows).mean(0), self.act(rows.mean(0))), a=nn.Linear(6, 5), act=nn.ReLU())


def fused() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True))


def paired() -> nn.Module:
    return nn.Sequential(nn.LSTM(6, 5))


@pytest.mark.parametrize(
    ("make", "wanted", "message"),
    [
        (bare, {"names": ["3"]}, r"names: expected a pattern of one of 0, 1, 2, got '3'"),
        (
            mlp,
            {"names": ["hiden.2"]},
            r"names: expected a pattern of one of hidden\.0, hidden\.2, classifier, got 'hiden\.2'; did you mean "
            r"hidden\.2\?",
        ),
        (bare, {"types": ["sigmoid"]}, r"types: expected .* Linear, Sigmoid, got 'sigmoid'; did you mean Sigmoid\?"),
        (bare, {"names": ["0"], "types": ["Sigmoid"]}, r"expected a module that both a name and a type stand for"),
        (bare, {"action": "remove", "types": ["*"]}, r"remove: expected normalization layers, this network has none"),
        (bare, {"names": ["2"], "where": "after"}, r"2: expected one nonlinearity .* directly behind it, got none"),
        (functional_relu, {"names": ["a"], "where": "after"}, r"a: expected .* nn\.ReLU.*, got the function relu; "),
        (functional_relu, {"names": ["b"]}, r"b: expected a module that is called, the network never does"),
        (shared, {"types": ["ReLU"]}, r"act: expected one use in a forward pass, got 2, .*; name .* before it: a, b"),
        (repeated, {"names": ["a"]}, r"a: expected one use in a forward pass, got 2, .*; make it several"),
        (
            mlp,
            {"types": ["ReLU"]},
            r"hidden\.0|hidden\.2: expected .* not normalized yet, .* that hidden\.1 normalizes",
        ),
        (mlp, {"names": ["hidden.0"]}, r"hidden\.0: expected .* not normalized yet, .* that hidden\.1 normalizes"),
        (parted, {"types": ["Linear"]}, r"0: expected no part of its own named normalization"),
        (unbound, {"types": ["ReLU"]}, r"act: expected .* with 2 to 5 axes, .*, got torch\.float32 of shape \(6,\)"),
        (fused, {"names": ["1.linear1"]}, r"1\.linear1: expected .* always called, .* TransformerEncoderLayer 1 "),
        (paired, {"names": ["0"]}, r"0: expected a module that gives one tensor"),
    ],
)
def test_what_can_t_be_normalized_is_refused_and_nothing_is_changed(
    make: Callable[[], nn.Module], wanted: dict[str, object], message: str
) -> None:
    network = make()
    before = {name: type(module) for name, module in network.named_modules()}, list(network.state_dict())

    with pytest.raises(RecipeError, match=rf"^normalize: (?:{message})[^\n]*$"):
        normalize(network, normal_rows(2, 6), [Normalization.model_validate(wanted)])

    assert ({name: type(module) for name, module in network.named_modules()}, list(network.state_dict())) == before


def test_a_long_list_of_what_there_is_ends_with_how_many_more() -> None:
    network = build_network("vgg11", {"width": 0.125, "num_classes": 3})

    with pytest.raises(RecipeError, match=r" and \d+ more \(`bntrain networks NAME` lists them\), got 'conv1'"):
        insert(network, normal_rows(2, 3, 32, 32), Normalization(names=("conv1",)))


def test_what_is_normalized_once_is_not_normalized_twice() -> None:
    network, rows, wanted = bare(), normal_rows(2, 6), Normalization(types=("Sigmoid",))
    insert(network, rows, wanted)

    with pytest.raises(RecipeError, match=r"^normalize: 1: expected .* not normalized yet, .* 0\.normalization norm"):
        insert(network, rows, wanted)


def test_a_layer_without_statistics_can_t_be_frozen() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False))

    with pytest.raises(RecipeError, match=r"^normalize: 1: expected a layer that keeps statistics"):
        normalize(network, normal_rows(2, 6), [Normalization(action="freeze", names=("1",))])


def test_rows_that_the_network_does_not_take_are_refused() -> None:
    with pytest.raises(ExportError, match=r"^network: expected to take the example"):
        insert(bare(), torch.zeros(2, 7), Normalization(types=("Sigmoid",)))
