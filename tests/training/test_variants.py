"""Modules with further behaviour are still what they were."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import nn

from tests.training.examples import answers, normal_rows
from training.variants import frozen, normalized


def small() -> nn.Sequential:
    """A linear layer that is normalized, in inference mode, its layer's figures random."""
    layer = nn.BatchNorm1d(3)
    for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
        assert tensor is not None
        tensor.normal_()
    network = nn.Sequential(nn.Linear(4, 3))
    normalized(network[0], channels_last=False).register_module("normalization", layer)
    return network.eval()


def test_a_normalized_layer_is_an_instance_of_its_class_by_the_same_name() -> None:
    network = small()

    assert isinstance(network[0], nn.Linear)
    assert type(network[0]).__name__ == "Linear"
    assert list(network.state_dict())[:2] == ["0.weight", "0.bias"]


def test_what_was_frozen_stays_in_inference_mode_while_its_network_trains() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    frozen(network[1])
    before = copy.deepcopy(network[1].state_dict())

    network.train()
    network(normal_rows(8, 4))

    assert [module.training for module in network] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in network[1].state_dict().items())


def test_a_copy_and_a_pickle_of_a_normalized_and_frozen_network_behave_as_it_does() -> None:
    network, rows = small(), normal_rows(8, 4)
    frozen(network.get_submodule("0.normalization"))

    copies = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]  # noqa: S301  it was just written

    for each in copies:
        each.train()
        assert not each.get_submodule("0.normalization").training
        assert (answers(each, rows) == answers(network, rows)).all()


def test_a_copy_shares_nothing_with_its_original() -> None:
    network = small()
    original = network.get_submodule("0.normalization")
    assert isinstance(original, nn.BatchNorm1d)

    copied = copy.deepcopy(network).get_submodule("0.normalization")
    assert isinstance(copied, nn.BatchNorm1d)
    copied.weight.data.zero_()

    assert original.weight.data.ne(0).all()
