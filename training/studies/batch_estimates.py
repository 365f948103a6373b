"""This module estimates a network's normalization statistics in the ways that compete, and says how far off each is.

Of batches of ``m`` values with mean ``mean_B`` and population variance ``variance_B``, all under the final weights:

    Algorithm 2     mean = E[mean_B]        variance = m / (m - 1) E[variance_B]
    one pass        mean and variance of the values of all batches together (PreciseBN)

In both every layer normalizes by each batch's own statistics, so what a layer behind the first one takes in depends on
the batches. Against them stand the moving averages that a fit leaves behind, for any momentum.

Source: Ioffe & Szegedy (2015), Algorithm 2; Wu & Johnson (2021), section 3, PreciseBN.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from models.layers import NormalizationLayer
from models.moments import Moments
from models.moving_average import MovingAverage
from training.normalization import normalization_layers


@dataclass(frozen=True, slots=True)
class Closeness:
    """How far an estimate of a layer's statistics is from what they are, over its channels.

    Attributes:
        shift: Root mean square of the distance between the means, in training standard deviations.
        ratio: Mean of the variances' ratio, estimated to true; 1 is unbiased.
        ratio_error: Root mean square of that ratio less 1.
    """

    shift: float
    ratio: float
    ratio_error: float

    @classmethod
    def of(cls, estimate: MovingAverage, layer: NormalizationLayer) -> Closeness:
        """Of an estimate to the statistics that a layer has."""
        distance = estimate.distance(layer)
        return cls(
            shift=float(np.sqrt(np.square(distance.shift).mean())),
            ratio=float(distance.ratio.mean()),
            ratio_error=float(np.sqrt(np.square(distance.ratio - 1).mean())),
        )


def batch_moments(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, list[Moments]]:
    """What every normalization layer takes in, batch by batch, while all of them use the statistics of the batch.

    The network stays as it is; whatever else differs between training and inference, such as dropout, is off.
    """
    observed = using_batch_statistics(network)
    layers = normalization_layers(observed)
    found: dict[str, list[Moments]] = {name: [] for name in layers}

    def observe(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[name].append(Moments.of(inputs[0].numpy(), channel_axis=1))

    for name, layer in layers.items():
        layer.register_forward_pre_hook(functools.partial(observe, name))
    with torch.no_grad():
        for batch in batches:
            observed(batch)
    return found


def using_batch_statistics(network: nn.Module) -> nn.Module:
    """A copy for inference whose normalization layers use the statistics of the batch that they are given."""
    copied = copy.deepcopy(network).eval()
    for layer in normalization_layers(copied).values():
        layer.train()
        layer.track_running_stats = False
    return copied


def of_one_batch(batch: Moments) -> MovingAverage:
    """The statistics by which a batch is normalized: its mean and population variance."""
    return MovingAverage(batch.mean, batch.variance)


def by_algorithm_2(batches: Sequence[Moments]) -> MovingAverage:
    """The average of the batches' means and of their variances with Bessel's correction; all of one size, above 1."""
    mean = np.mean([batch.mean for batch in batches], axis=0)
    return MovingAverage(mean, np.mean([batch.m2 / (batch.count - 1) for batch in batches], axis=0))


def in_one_pass(batches: Sequence[Moments]) -> MovingAverage:
    """Mean and variance of the values of all batches together."""
    return of_one_batch(functools.reduce(Moments.merge, batches))


def with_statistics(network: nn.Module, estimates: Mapping[str, MovingAverage]) -> nn.Module:
    """A copy for inference with other statistics, by the layers' names."""
    copied = copy.deepcopy(network).eval()
    layers = normalization_layers(copied)
    for name, estimate in estimates.items():
        mean, variance = layers[name].running_mean, layers[name].running_var
        assert mean is not None
        assert variance is not None
        mean.copy_(torch.from_numpy(estimate.mean))
        variance.copy_(torch.from_numpy(estimate.variance))
    return copied


class TrackedAverages:
    """Moving averages of several momenta at once, beside those that the layers keep, while a network is fitted.

    Batch variances have Bessel's correction, as torch takes them. To be used as a context, around the fit.
    """

    def __init__(self, network: nn.Module, momenta: Sequence[float]) -> None:
        self._layers = normalization_layers(network)
        self._momenta = momenta
        self._averages: dict[float, dict[str, tuple[Tensor, Tensor]]] = {
            momentum: {
                name: (torch.zeros(layer.num_features), torch.ones(layer.num_features))
                for name, layer in self._layers.items()
            }
            for momentum in momenta
        }

    def __enter__(self) -> Self:
        self._handles = [
            layer.register_forward_pre_hook(functools.partial(self._observe, name))
            for name, layer in self._layers.items()
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _observe(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not module.training:
            return
        with torch.no_grad():
            by_channel = inputs[0].transpose(0, 1).flatten(1)
            variance, mean = torch.var_mean(by_channel, dim=1)
            for momentum in self._momenta:
                kept_mean, kept_variance = self._averages[momentum][name]
                kept_mean.lerp_(mean, momentum)
                kept_variance.lerp_(variance, momentum)

    def of(self, momentum: float) -> dict[str, MovingAverage]:
        """The averages of one of the momenta, by the layers' names."""
        return {
            name: MovingAverage(mean.double().numpy().copy(), variance.double().numpy().copy())
            for name, (mean, variance) in self._averages[momentum].items()
        }
