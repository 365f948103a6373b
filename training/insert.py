"""This module puts normalization layers on chosen activations of any network, takes them away, and freezes them.

Where a layer goes. A pattern stands for a *layer*, a module with weights, or for a *nonlinearity*, a module such as
``nn.ReLU``:

- before the nonlinearity is what the layer gives; for a nonlinearity it is what that takes, which is the same place
  if a layer gives it directly and nothing else takes it;
- after the nonlinearity is what the nonlinearity gives; for a layer, what the one that takes it directly gives.

A place that several patterns stand for is normalized once; nonlinearities that take one tensor, which no layer gives to
one of them alone, are normalized each by itself, unless a pattern has that tensor normalized where it is given. A bias
directly before a new layer is dropped: the layer would subtract it, and its beta takes the place (Ioffe & Szegedy 2015,
section 3.2).

What a module gives is normalized in the module itself: ``hidden.0`` stays the linear layer that it was, with its weight
under the old name, and has a part more, ``hidden.0.normalization``. What is before a nonlinearity and not behind one
layer alone is the nonlinearity's ``input_normalization``.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from models.normalization import Normalization
from training.activations import observe_calls
from training.errors import RecipeError
from training.matching import matching_modules
from training.places import Places
from training.tracing import ExampleInputs
from training.variants import Normalized, frozen, normalized

WITH_BIAS = (nn.Linear, _ConvNd)
"""Layers that add a bias last of all, one value a channel."""


def normalize(network: nn.Module, example: ExampleInputs, changes: Iterable[Normalization]) -> None:
    """Make changes of where a network normalizes, in their order, in place.

    Args:
        network: Any network on the CPU; its mode stays as it is.
        example: What it is called with, at least two rows; only their shapes matter.
        changes: To insert, remove and freeze.

    Raises:
        RecipeError: If a pattern stands for nothing, or what it stands for can't be changed so.
        ExportError: If the network does not take the example.
    """
    for change in changes:
        match change.action:
            case "insert":
                insert(network, example, change)
            case "remove":
                remove(network, example, change)
            case "freeze":
                freeze(network, change)


def insert(network: nn.Module, example: ExampleInputs, wanted: Normalization) -> list[str]:
    """Put a normalization layer on every activation that is asked for; see ``normalize``.

    Returns:
        The qualified names of the new layers.
    """
    places = Places(network, observe_calls(network, example))
    found = [places.find(module, wanted.where) for module in matching_modules(network, wanted).values()]
    given = {place.activation: place for place in found if place.part == "normalization"}
    chosen = list(dict.fromkeys(given.get(place.activation, place) for place in found))
    layers = [places.layer(place, wanted) for place in chosen]  # all of them before anything is changed
    for place, layer in zip(chosen, layers, strict=True):
        host = normalized(place.host, channels_last=places.channels_last(place.activation))
        host.register_module(place.part, layer.train(host.training))
        if place.part == "normalization" and isinstance(host, WITH_BIAS):
            host.register_parameter("bias", None)
    return [places.name(place) for place in chosen]


def remove(network: nn.Module, example: ExampleInputs, wanted: Normalization) -> list[str]:
    """Take normalization layers away, as for a fit from scratch: what a layer did is gone; see ``normalize``.

    A layer of the network's own becomes ``nn.Identity``. A linear layer or convolution that is directly before it and
    has no bias gets one, of zeros.

    Returns:
        The qualified names of the layers that were there.
    """
    chosen = matching_modules(network, wanted)
    calls = observe_calls(network, example)
    aliases = list(network.named_modules(remove_duplicate=False))
    for layer in chosen.values():
        for call in calls.get(layer, []):
            if call.taken is not None and call.taken.givers:
                _restore_bias(call.taken.givers[0])
        for name in [alias for alias, module in aliases if module is layer]:
            path, _, part = name.rpartition(".")
            parent = network.get_submodule(path)
            if isinstance(parent, Normalized):
                delattr(parent, part)
                _restore_bias(parent)
            else:
                setattr(parent, part, nn.Identity())
    return list(chosen)


def freeze(network: nn.Module, wanted: Normalization) -> list[str]:
    """Let normalization layers keep their statistics, and normalize by them, in training mode too; see ``normalize``.

    Returns:
        The qualified names of the layers.
    """
    chosen = matching_modules(network, wanted)
    for name, layer in chosen.items():
        if getattr(layer, "running_mean", None) is None:
            raise RecipeError(f"normalize: {name}: expected a layer that keeps statistics, to freeze them")
    for layer in chosen.values():
        frozen(layer)
        if not wanted.learn:
            layer.requires_grad_(False)
    return list(chosen)


def _restore_bias(layer: nn.Module) -> None:
    if isinstance(layer, WITH_BIAS) and getattr(layer, "bias", None) is None:
        channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        layer.bias = nn.Parameter(torch.zeros(channels, device=layer.weight.device, dtype=layer.weight.dtype))
