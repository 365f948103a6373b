"""Normalization layers on chosen activations: where they go, and what they compute there."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.normalization import Normalization
from tests.training.examples import Forward, answers, assert_agrees, build, export, normal_rows
from training.insert import freeze, insert, normalize, remove
from training.networks import build_network
from training.normalization import normalization_layers
from training.population import estimate_population_statistics


def plain() -> nn.Sequential:
    """Two hidden layers, nothing normalized."""
    return nn.Sequential(
        nn.Linear(6, 5), nn.Sigmoid(), nn.Dropout(), nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)
    )


def inserted(network: nn.Module, rows: Tensor, **wanted: object) -> list[str]:
    """The names of what is inserted."""
    return insert(network, rows, Normalization.model_validate(wanted))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"types": ["Sigmoid", "ReLU"]}, ["0.normalization", "3.normalization"]),
        ({"names": ["0", "3"]}, ["0.normalization", "3.normalization"]),
        ({"types": ["Sigmoid"], "where": "after"}, ["1.normalization"]),
        ({"names": ["0", "3"], "where": "after"}, ["1.normalization", "4.normalization"]),
        ({"names": ["[0-4]"]}, ["0.normalization", "3.normalization"]),
        ({"names": ["3", "5"], "types": ["Lin*"]}, ["3.normalization", "5.normalization"]),
        ({"names": ["[2-9]"], "types": ["Linear"]}, ["3.normalization", "5.normalization"]),
        ({"names": ["2"]}, ["2.normalization"]),
    ],
    ids=["types", "layers", "after", "behind layers", "both", "names and types", "all of a type", "in full"],
)
def test_patterns_say_where(wanted: dict[str, object], names: list[str]) -> None:
    network = plain()

    found = inserted(network, normal_rows(2, 6), **wanted)

    assert found == names
    assert list(normalization_layers(network)) == names


def test_before_the_nonlinearity_computes_what_is_composed_by_hand() -> None:
    network, rows = plain(), normal_rows(16, 6)
    layers = nn.BatchNorm1d(5, eps=1e-3), nn.BatchNorm1d(4, eps=1e-3)
    by_hand = nn.Sequential(
        *(nn.Linear(6, 5, bias=False), layers[0], nn.Sigmoid(), nn.Dropout()),
        *(nn.Linear(5, 4, bias=False), layers[1], nn.ReLU(), nn.Linear(4, 3)),
    )

    inserted(network, rows, types=["Sigmoid", "ReLU"], eps=1e-3)

    weights = list(network.state_dict().values())
    by_hand.load_state_dict(dict(zip(by_hand.state_dict(), weights, strict=True)))
    for each in (network, by_hand):
        torch.manual_seed(0)
        each.train()(rows)
    assert (answers(network.eval(), rows) == answers(by_hand.eval(), rows)).all()


def test_after_the_nonlinearity_computes_what_is_composed_by_hand() -> None:
    network, rows = plain(), normal_rows(16, 6)
    by_hand = copy.deepcopy(network)
    by_hand.insert(2, nn.BatchNorm1d(5))

    inserted(network, rows, types=["Sigmoid"], where="after")

    for each in (network, by_hand):
        torch.manual_seed(0)
        each.train()(rows)
    assert (answers(network.eval(), rows) == answers(by_hand.eval(), rows)).all()


def test_a_bias_directly_before_a_new_layer_is_dropped_and_others_stay() -> None:
    network = plain()

    inserted(network, normal_rows(2, 6), types=["Sigmoid"])

    assert [name for name, _ in network.named_parameters() if name.endswith("bias")] == [
        *("0.normalization.bias", "3.bias", "5.bias")
    ]


def test_without_its_bias_a_layer_is_trained_to_the_same_function() -> None:
    """What the bias added, the layer behind it subtracts: with statistics of the rows, both give the same."""
    network, rows = plain(), normal_rows(64, 6)
    with_bias = copy.deepcopy(network)
    with_bias.insert(1, nn.BatchNorm1d(5))

    inserted(network, rows, types=["Sigmoid"])

    for each in (network, with_bias):
        estimate_population_statistics(each.eval(), [rows])
    # sums of five products of numbers below 3, in float32
    assert torch.from_numpy(answers(network, rows)).allclose(torch.from_numpy(answers(with_bias, rows)), atol=1e-6)


def test_a_bias_that_goes_elsewhere_too_stays() -> None:
    """The nonlinearity's input is normalized, not what goes around it."""
    network = Forward(lambda self, rows: self.act(given := self.fc(rows)) + given, fc=nn.Linear(6, 6), act=nn.Tanh())
    rows = normal_rows(8, 6)
    given = answers(network.get_submodule("fc"), rows)

    names = inserted(network, rows, types=["Tanh"])
    network.eval()

    layer = normalization_layers(network)["act.input_normalization"]
    expected = answers(nn.Sequential(layer, nn.Tanh()), torch.from_numpy(given)) + given
    assert names == ["act.input_normalization"]
    assert network.get_submodule("fc").bias is not None
    assert (answers(network, rows) == expected).all()


@pytest.mark.parametrize(
    ("types", "names"),
    [
        (["Tanh", "Sigmoid"], ["tanh.input_normalization", "sigmoid.input_normalization"]),
        (["Sigmoid"], ["sigmoid.input_normalization"]),
        (["Linear", "Tanh", "Sigmoid"], ["fc.normalization"]),
    ],
    ids=["both", "one", "and what gives it"],
)
def test_nonlinearities_that_take_one_tensor_are_normalized_each_by_itself(types: list[str], names: list[str]) -> None:
    """Unless the tensor is normalized where it is given: then both take it so."""
    network = Forward(
        lambda self, rows: self.tanh(given := self.fc(rows)) * self.sigmoid(given),
        fc=nn.Linear(6, 5),
        tanh=nn.Tanh(),
        sigmoid=nn.Sigmoid(),
    )

    found = inserted(network, normal_rows(2, 6), types=types)

    assert found == names
    assert sorted(normalization_layers(network)) == sorted(names)


@pytest.mark.parametrize(
    ("layer", "rows", "kind", "channels"),
    [
        (lambda: nn.Linear(6, 5), normal_rows(2, 6), nn.BatchNorm1d, 5),
        (lambda: nn.Linear(6, 5), normal_rows(2, 3, 6), nn.BatchNorm1d, 5),
        (lambda: nn.Linear(6, 5), normal_rows(2, 3, 4, 6), nn.BatchNorm2d, 5),
        (lambda: nn.Conv1d(3, 4, 1), normal_rows(2, 3, 6), nn.BatchNorm1d, 4),
        (lambda: nn.Conv2d(3, 4, 1), normal_rows(2, 3, 6, 6), nn.BatchNorm2d, 4),
        (lambda: nn.ConvTranspose2d(3, 4, 2), normal_rows(2, 3, 6, 6), nn.BatchNorm2d, 4),
        (lambda: nn.Conv3d(3, 4, 1), normal_rows(2, 3, 2, 2, 2), nn.BatchNorm3d, 4),
    ],
    ids=["rows", "sequences", "grids", "conv1d", "conv2d", "transposed", "conv3d"],
)
@pytest.mark.parametrize("where", ["before", "after"])
def test_the_kind_and_channels_are_those_of_what_is_seen(
    where: str, layer: Callable[[], nn.Module], rows: Tensor, kind: type[nn.Module], channels: int
) -> None:
    network = nn.Sequential(layer(), nn.GELU(), nn.Identity())

    inserted(network, rows, types=["GELU"], where=where)
    network.train()
    given = network(rows)

    (found,) = normalization_layers(network).values()
    per_channel = given.movedim(-1 if isinstance(network[0], nn.Linear) else 1, 0).flatten(1)
    assert (type(found), found.num_features) == (kind, channels)
    assert per_channel.shape[0] == channels
    if where == "after":  # so that what comes out is normalized, which holds to float32's rounding
        assert per_channel.mean(1).abs().max() < 1e-6


def test_what_a_function_rectifies_is_normalized_before_it() -> None:
    network = Forward(lambda self, rows: functional.relu(self.fc(rows)), fc=nn.Linear(6, 5)).eval()
    rows = normal_rows(8, 6)

    inserted(network, rows, names=["fc"])

    fc = network.get_submodule("fc")
    assert (answers(network, rows) == answers(fc, rows).clip(0)).all()
    assert "fc.normalization" in normalization_layers(network)


def test_other_normalizations_are_meant_only_where_they_are_named_in_full() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))

    names = [inserted(network, normal_rows(2, 6), names=[pattern]) for pattern in ("*", "1")]

    assert names == [["0.normalization", "2.normalization"], ["1.normalization"]]


def test_a_nonlinearity_of_ones_own_is_one() -> None:
    class Swish(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values * values.sigmoid()

    network = nn.Sequential(nn.Linear(6, 5), Swish(), nn.Linear(5, 5), Swish())

    names = [inserted(network, normal_rows(2, 6), names=[n], where=w) for n, w in (("1", "before"), ("3", "after"))]

    assert names == [["0.normalization"], ["3.normalization"]]


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_in_its_mode_and_its_statistics_unmoved(training: bool) -> None:
    own = nn.BatchNorm1d(5)
    network = nn.Sequential(nn.Linear(6, 5), own, nn.Sigmoid()).train(training)

    inserted(network, normal_rows(2, 6), types=["Sigmoid"], where="after")

    assert [module.training for module in network.modules()] == [training] * 5
    assert own.num_batches_tracked == 0


@pytest.mark.parametrize("mode", ["fast", "complete"])
def test_every_inserted_layer_folds_under_its_own_name(mode: str) -> None:
    def make() -> nn.Module:
        network = nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Sigmoid(), nn.Flatten(2), nn.Linear(4, 6)),
            *(nn.GELU(), nn.Flatten(), nn.Linear(30, 2)),
        )
        rows = normal_rows(2, 3, 6, 6)
        inserted(network, rows, types=["Conv2d", "GELU"])
        inserted(network, rows, types=["GELU"], where="after")
        return network

    network = build(make)
    graph = export(network, normal_rows(2, 3, 6, 6), mode="complete" if mode == "complete" else "fast")

    assert {layer.name: layer.into for layer in graph.layers} == {
        "0.normalization": "0",
        "2.normalization": "2",
        "5.normalization": "5",
        "6.normalization": "8",
    }
    assert_agrees(graph, network, normal_rows(7, 3, 6, 6))


def test_the_channels_of_what_was_flattened_are_its_columns() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ReLU())

    inserted(network, normal_rows(2, 3, 5, 5), types=["ReLU"])

    assert normalization_layers(network)["2.input_normalization"].num_features == 36


@pytest.mark.parametrize("network", ["convnet", "resnet18", "preactresnet18"])
def test_a_network_of_the_library_is_bared_and_normalized_again(network: str) -> None:
    arguments = {"widths": [2, 3]} if network == "convnet" else {"stem": "small", "width": 0.0625}
    changed, rows = build_network(network, {"in_channels": 1, **arguments}), normal_rows(2, 1, 16, 16)
    before = normalization_layers(changed)

    removed = remove(changed, rows, Normalization(action="remove", types=("BatchNorm2d",)))
    bared = list(normalization_layers(changed))
    names = inserted(changed, rows, types=["Conv2d"])

    convolutions = [name for name, module in changed.named_modules() if isinstance(module, nn.Conv2d)]
    assert removed == list(before)
    assert bared == []
    assert names == [f"{name}.normalization" for name in convolutions]


def test_removing_restores_the_bias_of_the_layer_before() -> None:
    network = build_network("mlp", {"in_features": 6, "widths": [5, 4], "num_classes": 3})

    remove(network, normal_rows(2, 6), Normalization(action="remove", names=("hidden.1",)))

    hidden = network.get_submodule("hidden.0")
    assert isinstance(hidden, nn.Linear)
    assert hidden.bias.tolist() == [0] * 5
    assert network.get_submodule("hidden.3").bias is None
    assert list(normalization_layers(network)) == ["hidden.4"]


def test_what_was_inserted_and_removed_leaves_the_network_with_its_names() -> None:
    network, rows = plain(), normal_rows(2, 6)
    keys = list(network.state_dict())

    inserted(network, rows, types=["Sigmoid", "ReLU"])
    removed = remove(network, rows, Normalization(action="remove", names=("*",)))

    assert removed == ["0.normalization", "3.normalization"]
    assert sorted(network.state_dict()) == sorted(keys)
    restored = network.get_parameter("0.bias")
    assert not restored.any()


def test_a_frozen_layer_keeps_its_statistics_through_fit_and_estimation() -> None:
    network, rows = plain(), normal_rows(16, 6)
    inserted(network, rows, types=["Sigmoid", "ReLU"])
    network.train()(rows)
    layers = normalization_layers(network)
    before = {name: copy.deepcopy(layer.state_dict()) for name, layer in layers.items()}

    names = freeze(network, Normalization(action="freeze", names=("0.*",), learn=False))
    network.train()(rows)
    estimate_population_statistics(network, [rows])

    kept = {
        name: all(torch.equal(before[name][key], tensor) for key, tensor in layer.state_dict().items())
        for name, layer in layers.items()
    }
    assert names == ["0.normalization"]
    assert kept == {"0.normalization": True, "3.normalization": False}
    assert [p.requires_grad for layer in layers.values() for p in layer.parameters()] == [False, False, True, True]


def test_changes_are_made_in_their_order() -> None:
    network = build_network("mlp", {"in_features": 6, "widths": [5, 4], "num_classes": 3})
    changes = [
        Normalization(action="remove", types=("BatchNorm1d",)),
        Normalization(types=("ReLU",), where="after", momentum=None),
        Normalization(action="freeze", names=("hidden.2*",)),
    ]

    normalize(network.train(), normal_rows(2, 6), changes)

    layers = normalization_layers(network)
    assert {name: layer.training for name, layer in layers.items()} == {
        "hidden.2.normalization": False,
        "hidden.5.normalization": True,
    }
    assert {layer.momentum for layer in layers.values()} == {None}
