"""This module builds what the studies fit: perceptrons whose normalization, nonlinearity and weights are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def perceptron(
    in_features: int,
    widths: Sequence[int],
    nonlinearity: Callable[[], nn.Module],
    *,
    normalized: bool,
    num_classes: int = 10,
) -> nn.Sequential:
    """Linear, normalization where wanted, nonlinearity, once a width; a linear layer to the logits.

    A normalized layer has no bias of its own: the normalization's takes its place (paper, section 3.2).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    before = in_features
    for width in widths:
        layers.append(nn.Linear(before, width, bias=not normalized))
        layers += [nn.BatchNorm1d(width)] if normalized else []
        layers.append(nonlinearity())
        before = width
    return nn.Sequential(*layers, nn.Linear(before, num_classes))


def draw_gaussian(network: nn.Module, deviation: float | None, *, seed: int) -> None:
    """Draw all weights from a Gaussian of mean 0; biases become 0.

    Args:
        network: Its convolutions and linear layers are drawn anew.
        deviation: Of the Gaussian; None for Glorot's, ``sqrt(2 / (fan in + fan out))`` of each layer.
        seed: The same one gives the same weights, normalized or not.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            if deviation is None:
                nn.init.xavier_normal_(module.weight, generator=generator)
            else:
                nn.init.normal_(module.weight, std=deviation, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def inputs_of(network: nn.Sequential, kind: type[nn.Module], values: Tensor) -> list[Tensor]:
    """What every layer of a kind takes of these rows, in the mode that the network is in; running statistics move not.

    Returns:
        A tensor ``(rows, ...)`` for each such layer, in their order.
    """
    taken: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, args: taken.append(args[0].clone()))
        for module in network
        if isinstance(module, kind)
    ]
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(values)
    for name, buffer in network.named_buffers():
        buffer.copy_(kept[name])
    for hook in hooks:
        hook.remove()
    return taken
