"""This module is the arithmetic of folding, on arrays alone and in float64.

A layer that is affine in its input, ``W x + b``, and a normalization layer behind it, ``s y + t`` per output channel
with ``s = gamma / sqrt(variance + eps)`` and ``t = beta - mean s``, are together the affine layer

    W' = s W        b' = s b + t

Source: Ioffe & Szegedy (2015), Algorithm 2, steps 10 and 11.
"""

from __future__ import annotations

import numpy as np

from models.layers import NormalizationLayer
from models.moments import Array


def fold_bias(bias: Array | None, layer: NormalizationLayer) -> Array:
    """``b' = s b + t``; a missing bias is zeros.

    Args:
        bias: Shape ``(output,)``, or one that broadcasts to it, or None.
        layer: Its parameters, each of shape ``(output,)``.
    """
    before = np.zeros(layer.channels) if bias is None else bias
    return layer.scale * np.broadcast_to(before.squeeze(), (layer.channels,)) + layer.shift


def scale_output(weight: Array, scale: Array, *, axis: int) -> Array:
    """``W' = s W`` where the output channels of ``weight`` lie along ``axis``."""
    shape = [1] * weight.ndim
    shape[axis] = len(scale)
    return weight * scale.reshape(shape)


def scale_transposed_output(weight: Array, scale: Array, *, groups: int) -> Array:
    """``W' = s W`` for a transposed convolution, whose weight has shape ``(input, output / groups, ...)``.

    Output channel ``g * output / groups + j`` is made from the inputs of group ``g`` by ``weight[inputs of g, j]``.
    """
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    by_group = scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (grouped * by_group).reshape(weight.shape)
