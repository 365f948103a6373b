"""This module brings the values of rows to mean 0 and variance 1, by a normalization layer in front of the network.

A table's columns have units of their own; a network learns from them badly until they have one scale. What others do
beside the model, a batch normalization without gamma and beta does in it: its statistics are the mean and the variance
of the training rows, exactly, from before the first step on. So clients send values as they are, folding merges the
layer into the first weights, and every column is watched for drift by its name.

``eps`` is 2^-20 of the smallest variance: it changes no column by more than half a millionth, in whatever unit it is.

Where a column's mean is far from 0 in deviations, weights that the layer was folded into would multiply large values
whose difference counts: ``w x - w mean`` is off by ``6e-8 mean / deviation``. There an offset is subtracted first. In
float32 that is exact for values within a factor of 2 of it (Sterbenz), and the layer sees what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.moments import Array, Moments
from models.standardization import StandardizationRecord
from training.errors import DataError
from training.variants import frozen

OFFSET, LAYER = "standardization_offset", "standardization"
"""The names of the two parts."""

EPS_SHARE = 2.0**-20
FAR = 16.0
"""A mean of more deviations is subtracted first: rounding then stays a tenth of what verification allows."""

SMALLEST_DEVIATION, LARGEST_DEVIATION = 1e-15, 1e15
"""Beyond them a variance, or eps, is no number that float32 holds well."""

FEWEST_STEPS = 16
"""So many numbers of float32 lie within one deviation, at least: else rounding alone would show in the result."""


class Offset(nn.Module):
    """Subtracts a number from every column or channel."""

    offset: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(channels))

    def forward(self, values: Tensor) -> Tensor:
        """Values ``(rows, channels, ...)`` less the offsets."""
        return values - self.offset.reshape(-1, *[1] * (values.dim() - 2))


class Standardization(_BatchNorm):
    """A normalization layer that learns nothing; it stands frozen in front of its network."""

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__(channels, eps=eps, momentum=0.0, affine=False)

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
    raw = _moments(batches, nn.Identity())
    deviation = np.sqrt(raw.variance)
    _refuse_ill_scaled(raw.mean, deviation, columns)
    far = np.abs(raw.mean) > FAR * deviation
    offset = np.where(far, raw.mean, 0).astype(np.float32)
    record = StandardizationRecord(
        columns=columns,
        mean=tuple(raw.mean.tolist()),
        deviation=tuple(deviation.tolist()),
        eps=EPS_SHARE * float(raw.variance.min()),
        offset=tuple(offset.tolist()) if far.any() else None,
    )
    place_standardization(network, record)
    before, layer = network.get_submodule(OFFSET), network.get_submodule(LAYER)
    if isinstance(before, Offset):
        before.offset.copy_(torch.from_numpy(offset))
    left = _moments(batches, before)
    layer.load_state_dict(
        {
            "running_mean": torch.from_numpy(left.mean),
            "running_var": torch.from_numpy(left.variance),
            "num_batches_tracked": torch.tensor(len(batches)),
        }
    )
    return record


def place_standardization(network: nn.Module, record: StandardizationRecord) -> None:
    """Put a standardization in front of a network, in place, its statistics still 0 and 1.

    It is a part of the network more, and the names of all others stay; a hook has it take what the network is given.
    """
    channels = len(record.mean)
    offset = nn.Identity() if record.offset is None else Offset(channels)
    network.add_module(OFFSET, offset.train(network.training))
    network.add_module(LAYER, frozen(Standardization(channels, eps=record.eps)))
    network.register_forward_pre_hook(_standardize, with_kwargs=True)


def _standardize(
    network: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    # not bound: a copy of the network uses its own
    offset, layer = network.get_submodule(OFFSET), network.get_submodule(LAYER)
    if inputs:
        return (layer(offset(inputs[0])), *inputs[1:]), {**named}
    first, *_ = named
    return (), {**named, first: layer(offset(named[first]))}


def _moments(batches: Sequence[Tensor], before: nn.Module) -> Moments:
    moments = Moments.empty(batches[0].shape[1])
    for batch in batches:
        moments = moments.merge(Moments.of(before(batch).numpy(), channel_axis=1))
    return moments


def _refuse_ill_scaled(mean: Array, deviation: Array, columns: tuple[str, ...] | None) -> None:
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
