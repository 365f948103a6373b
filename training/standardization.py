"""This module brings the values of rows to mean 0 and variance 1, by a normalization layer in front of the network.

A table's columns have units of their own; a network learns from them badly until they have one scale. What others do
beside the model, a batch normalization without gamma and beta does in it: its statistics are the mean and the variance
of the training rows, exactly, from before the first step on. So clients send values as they are, folding merges the
layer into the first weights, and every column is watched for drift by its name.

``eps`` is 2^-20 of the smallest variance: it changes no column by more than half a millionth, in whatever unit it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.moments import Array, Moments
from models.standardization import StandardizationRecord
from training.errors import DataError

LAYER = "standardization"
"""Its qualified name."""

EPS_SHARE = 2.0**-20
SMALLEST_DEVIATION, LARGEST_DEVIATION = 1e-15, 1e15
"""Beyond them a variance, or eps, is no number that float32 holds well."""

FEWEST_STEPS = 16
"""So many numbers of float32 lie within one deviation, at least: else rounding alone would show in the result."""


class Standardization(_BatchNorm):
    """A normalization layer that learns nothing and keeps its statistics, whatever mode its network is in."""

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__(channels, eps=eps, momentum=0.0, affine=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in inference mode."""
        del mode
        return super().train(False)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  as torch has it
        if input.dim() < 2:
            raise ValueError(f"expected rows of values, got a tensor of {input.dim()} axes")


def standardize(
    network: nn.Module, batches: Sequence[Tensor], columns: tuple[str, ...] | None = None
) -> StandardizationRecord:
    """Put a standardization by the statistics of rows in front of a network, in place.

    Args:
        network: Takes one tensor.
        batches: The training rows, ``(rows, channels, ...)`` each.
        columns: The name of every channel.

    Returns:
        What the manifest says of it.

    Raises:
        DataError: If a column has one value in all rows, or float32 can't tell its values apart.
    """
    moments = Moments.empty(batches[0].shape[1])
    for batch in batches:
        moments = moments.merge(Moments.of(batch.numpy(), channel_axis=1))
    _refuse_ill_scaled(moments.mean, moments.variance, columns)
    eps = EPS_SHARE * float(moments.variance.min())
    layer = place_standardization(network, moments.channels, eps)
    layer.load_state_dict(
        {
            "running_mean": torch.from_numpy(moments.mean),
            "running_var": torch.from_numpy(moments.variance),
            "num_batches_tracked": torch.tensor(len(batches)),
        }
    )
    deviation = np.sqrt(moments.variance)
    return StandardizationRecord(
        columns=columns, mean=tuple(moments.mean.tolist()), deviation=tuple(deviation.tolist()), eps=eps
    )


def place_standardization(network: nn.Module, channels: int, eps: float) -> Standardization:
    """Put a standardization in front of a network, in place, its statistics still 0 and 1.

    It is a part of the network more, and the names of all others stay; a hook has it take what the network is given.
    """
    assert not hasattr(network, LAYER)
    layer = Standardization(channels, eps=eps)
    network.add_module(LAYER, layer)
    network.register_forward_pre_hook(_standardize, with_kwargs=True)
    return layer


def _standardize(
    network: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    layer = network.get_submodule(LAYER)  # not bound: a copy of the network uses its own
    if inputs:
        return (layer(inputs[0]), *inputs[1:]), {**named}
    first, *_ = named
    return (), {**named, first: layer(named[first])}


def _refuse_ill_scaled(mean: Array, variance: Array, columns: tuple[str, ...] | None) -> None:
    deviation = np.sqrt(variance)
    for number, (at, by) in enumerate(zip(mean, deviation, strict=True)):
        name = f"channel {number}" if columns is None else f"column {columns[number]!r}"
        if by == 0:
            raise DataError(
                f"data: {name}: expected values that differ among the training rows, got {at:g} in all of them; "
                "leave it out, it says nothing"
            )
        if not SMALLEST_DEVIATION <= by <= LARGEST_DEVIATION:
            raise DataError(
                f"data: {name}: expected a deviation from {SMALLEST_DEVIATION:g} to {LARGEST_DEVIATION:g}, got {by:g}; "
                "give it in another unit"
            )
        if by < FEWEST_STEPS * np.spacing(np.float32(abs(at))):
            raise DataError(
                f"data: {name}: expected values that float32 can tell apart, got a deviation of {by:g} around {at:g}; "
                "subtract what they have in common"
            )
