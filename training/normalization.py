"""This module finds the normalization layers of a network and reads their parameters and statistics."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.layers import NormalizationLayer
from models.moments import Array
from models.moving_average import MovingAverage
from training.errors import ExportError


def normalization_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Every normalization layer by its qualified name, in the order of declaration; by all of them, if it has two."""
    modules = network.named_modules(remove_duplicate=False)
    return {name: module for name, module in modules if isinstance(module, _BatchNorm)}


def check_layer(name: str, module: _BatchNorm) -> None:
    """Raise ExportError for a layer whose parameters or statistics are no numbers that a layer can have."""
    if module.running_mean is None or module.running_var is None:
        return
    try:
        read_layer(name, module)
    except ValueError as error:
        raise ExportError(str(error)) from error


def read_layer(name: str, module: _BatchNorm) -> NormalizationLayer:
    """A layer's parameters and statistics in float64; ones and zeros where it learns no scale and shift.

    Raises:
        ValueError: If it keeps no statistics, or they are not finite, or a variance is negative.
    """
    if module.running_mean is None or module.running_var is None:
        raise ValueError(f"{name}: expected a layer that keeps statistics, got track_running_stats=False")
    channels = module.num_features
    return NormalizationLayer(
        name=name,
        eps=module.eps,
        gamma=_array(module.weight) if module.affine else np.ones(channels),
        beta=_array(module.bias) if module.affine else np.zeros(channels),
        mean=_array(module.running_mean),
        variance=_array(module.running_var),
    )


def read_moving_averages(network: nn.Module) -> dict[str, MovingAverage]:
    """What a fit left in every layer that keeps statistics, by its name; none of a layer where that is not finite."""
    left: dict[str, MovingAverage] = {}
    for name, module in normalization_layers(network).items():
        if module.running_mean is None or module.running_var is None:
            continue
        if module.running_mean.isfinite().all() and module.running_var.isfinite().all():
            left[name] = MovingAverage(_array(module.running_mean), _array(module.running_var))
    return left


def _array(tensor: Tensor) -> Array:
    values: Array = tensor.detach().cpu().double().numpy().copy()
    return values
