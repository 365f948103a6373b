"""This module re-estimates the statistics of every normalization layer from all training rows, exactly.

The moving averages that a fit leaves behind are of weights that have since changed and of a few last batches. What
inference wants is the mean and variance of each layer's input over the whole training set, under the final weights.
A layer's input depends on the layers before it, so they are estimated in the order in which data meets them, one pass
each, every pass through layers that already have their final statistics. Two things follow:

- every layer sees over the training rows exactly the mean and variance that it keeps;
- how the rows are cut into batches changes nothing.

Estimating all layers in one pass of batch statistics, as PreciseBN does, has neither property behind the first layer,
unless all rows are one batch; there the two agree.

Source: Ioffe & Szegedy (2015), Algorithm 2; Wu & Johnson (2021), section 3, for PreciseBN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.moments import Moments
from training.errors import StatisticsError
from training.normalization import normalization_layers
from training.processes import merge_over_processes
from training.variants import Frozen


def estimate_population_statistics(network: nn.Module, batches: Sequence[Tensor]) -> int:
    """Replace the running statistics of every normalization layer by those of all rows; the mode stays as it is.

    A frozen layer keeps the statistics that it has; a standardization is one, and its are exact already.

    Running variances become the population variance, without Bessel's correction: that is what makes the layer's
    output over these rows have variance ``gamma^2 var / (var + eps)``.

    Args:
        network: Its layers are changed in place; the rows are moved to where it is.
        batches: The rows, ``(rows, ...)`` each; they are gone through once a layer. Where several processes fit the
            network, those of this process: together they are all.

    Returns:
        How many rows that were.

    Raises:
        StatisticsError: If there are no rows, a layer is used twice in a pass, or its input is not finite.
    """
    if not len(batches) or not len(batches[0]):
        raise StatisticsError("population statistics: expected at least one row, got none")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            layers = normalization_layers(network)
            counts = [_estimate(network, name, layers[name], batches) for name in order_of_use(network, batches[0])]
    finally:
        for module, training in modes.items():
            module.training = training
    return counts[0] if counts else sum(map(len, batches))


class _Reached(Exception):
    """Ends a forward pass at the layer whose input was wanted."""


def order_of_use(network: nn.Module, batch: Tensor) -> list[str]:
    """The names of the layers that are estimated, in the order in which a batch meets them.

    Raises:
        StatisticsError: If a layer is used twice in a pass.
    """
    order: list[str] = []
    handles = [
        layer.register_forward_pre_hook(lambda _module, _inputs, name=name: order.append(name))
        for name, layer in normalization_layers(network).items()
        if layer.track_running_stats and not isinstance(layer, Frozen)
    ]
    try:
        network(_beside(network, batch))
    finally:
        for handle in handles:
            handle.remove()
    for name in order:
        if order.count(name) > 1:
            raise StatisticsError(f"{name}: expected one use in a forward pass, got {order.count(name)}")
    return order


def _estimate(network: nn.Module, name: str, layer: _BatchNorm, batches: Iterable[Tensor]) -> int:
    """Estimate one layer, and say by how many rows."""
    moments, rows = Moments.empty(layer.num_features), 0

    def observe(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal moments
        moments = moments.merge(_moments(inputs[0]))
        raise _Reached

    handle = layer.register_forward_pre_hook(observe)
    try:
        for batch in batches:
            rows += len(batch)
            try:
                network(_beside(network, batch))
            except _Reached:
                continue
    finally:
        handle.remove()
    moments = merge_over_processes(moments)
    mean, variance = torch.from_numpy(moments.mean), torch.from_numpy(moments.variance)
    if not (mean.isfinite().all() and variance.isfinite().all()):
        raise StatisticsError(f"{name}: expected finite values at its input over all rows, got NaN or infinity")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    return rows


def _moments(values: Tensor) -> Moments:
    """A channel's, summed up where they are: what comes from a GPU is two numbers a channel."""
    variance, mean = torch.var_mean(values.double(), dim=[n for n in range(values.ndim) if n != 1], correction=0)
    count = values.numel() // values.shape[1]
    return Moments(count, mean.cpu().numpy(), (variance * count).cpu().numpy())


def _beside(network: nn.Module, batch: Tensor) -> Tensor:
    """A batch where the network is."""
    tensor = next(chain(network.parameters(), network.buffers()), None)
    return batch if tensor is None else batch.to(tensor.device)
