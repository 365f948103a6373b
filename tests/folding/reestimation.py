"""This module re-estimates a network's statistics in torch, by its own normalization in training mode."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from models.moments import Moments
from training.normalization import normalization_layers


def reestimated(network: nn.Module, batches: Sequence[Tensor], *, prior_rows: int = 0) -> nn.Module:
    """A copy whose layers have the population statistics of what they take while each batch normalizes itself.

    Args:
        network: In inference mode; it stays as it is.
        batches: Of rows.
        prior_rows: So many rows the network's own statistics count as, in each batch and in the result.
    """
    made = copy.deepcopy(network)
    layers = normalization_layers(made)
    rows = sum(len(batch) for batch in batches)
    weight = rows / (rows + prior_rows)
    moments = {name: Moments.empty(layer.num_features) for name, layer in layers.items()}
    handles = []
    for name, layer in layers.items():

        def normalize(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor, name: str = name) -> Tensor:
            assert isinstance(module, _BatchNorm)
            found = Moments.of(inputs[0].numpy(), channel_axis=1)
            moments[name] = moments[name].merge(found)
            return _normalized(module, inputs[0], weight)

        handles.append(layer.register_forward_hook(normalize))
    with torch.no_grad():
        for batch in batches:
            made(batch.clone())
    for handle in handles:
        handle.remove()
    for name, layer in layers.items():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.lerp_(torch.from_numpy(moments[name].mean).float(), weight)
        layer.running_var.lerp_(torch.from_numpy(moments[name].variance).float(), weight)
    return made


def _normalized(layer: _BatchNorm, rows: Tensor, weight: float) -> Tensor:
    """What torch makes of a batch in training mode; by hand where the layer's own statistics count too."""
    if weight == 1:
        return functional.batch_norm(rows, None, None, layer.weight, layer.bias, training=True, eps=layer.eps)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    axes = [axis for axis in range(rows.ndim) if axis != 1]
    mean = torch.lerp(layer.running_mean, rows.mean(axes), weight)
    variance = torch.lerp(layer.running_var, rows.var(axes, unbiased=False), weight)
    return functional.batch_norm(rows, mean, variance, layer.weight, layer.bias, training=False, eps=layer.eps)
