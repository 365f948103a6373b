"""This module gives networks the statistics of data that they have seen, and parameters that are hard to fold.

A new layer scales by one and shifts by nothing, and folding it wrong goes unnoticed. Here scales differ by up to three
times, some are negative, which no rectifier passes, some are zero, and shifts are not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.folding.architectures import Architecture
from training.networks import build_network

ROWS = 16
"""How many rows the statistics are taken of."""


def build(architecture: Architecture, *, seed: int = 0) -> nn.Module:
    """The network in inference mode, with statistics of random rows; the same for the same seed."""
    torch.manual_seed(seed)
    network = build_network(architecture.name, architecture.arguments)
    train_on(network, torch.randn(ROWS, *architecture.row_shape))
    return network


def train_on(network: nn.Module, rows: Tensor, *, negative: float = 0.05, zero: float = 0.01) -> None:
    """Give every normalization layer new parameters and the statistics that it then sees, and go to inference mode.

    Args:
        network: It is changed in place.
        rows: What the statistics are taken of.
        negative: Which part of the scales is negative.
        zero: Which part is zero.
    """
    network.eval()  # nothing is dropped at random
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        _draw_parameters(layer, negative, zero)
        layer.train()
        layer.momentum = 1.0
    with torch.no_grad():
        network(rows)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def _draw_parameters(layer: _BatchNorm, negative: float, zero: float) -> None:
    if not layer.affine:
        return
    with torch.no_grad():
        if not layer.weight.any():
            layer.weight.fill_(1.0)  # the last layer of a residual branch starts at zero
        chance = torch.rand(layer.num_features)
        sign = torch.where(chance < negative, -1.0, torch.where(chance < negative + zero, 0.0, 1.0))
        layer.weight.mul_(sign * torch.empty(layer.num_features).uniform_(0.5, 1.5))
        layer.bias.copy_(torch.randn(layer.num_features) * 0.2)
