"""This module knows where a constant in front of a convolution meets zero padding, and what comes of it behind.

A convolution of a constant per channel is the same everywhere, unless it pads: at the border some of the kernel meets
zeros. Where the image has one size, what comes out is a constant map, added up kernel position by kernel position.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.obstacle import Obstacle
from models.moments import Array


def is_uniform(node: ir.Node) -> bool:
    """Whether a constant input gives a constant output, everywhere the same: a convolution that does not pad.

    A transposed convolution's kernels overlap less at the border than inside, so it is taken never to be.
    """
    unpadded = not any(node.attributes.get_ints("pads", [])) and node.attributes.get_string("auto_pad", "NOTSET") in (
        "NOTSET",
        "VALID",
    )
    return unpadded and node.op_type == "Conv"


def response(node: ir.Node, weight: Array, shift: Array) -> Array:
    """What a convolution without its bias makes of a constant image, shape ``(1, output, ...)``.

    Args:
        node: A Conv or ConvTranspose.
        weight: As the node has it.
        shift: The constant of each channel, shape ``(input,)``.

    Raises:
        Obstacle: If the size of the image is not known, or its padding is computed.
    """
    source = node.inputs[0]
    assert source is not None
    sizes = values.shape(source)[2:]
    if not all(isinstance(size, int) for size in sizes):
        raise Obstacle(f"{values.describe(node.outputs[0])} pads with zeros, and images may have any size")
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        raise Obstacle(f"the padding of {values.describe(node.outputs[0])} is not written down")
    shape = tuple(int(size) for size in sizes)
    strides, dilations = (node.attributes.get_ints(name, [1] * len(shape)) for name in ("strides", "dilations"))
    pads = node.attributes.get_ints("pads", [0] * 2 * len(shape))
    grid = _Grid(weight.shape[2:], strides, dilations, pads[: len(shape)], pads[len(shape) :])
    groups = node.attributes.get_int("group", 1)
    if node.op_type == "Conv":
        return _convolve(weight, shift, shape, grid, groups=groups)
    return _convolve_transposed(
        weight, shift, shape, grid, groups=groups, further=node.attributes.get_ints("output_padding", [0] * len(shape))
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """How a kernel lies on an image; every field has one entry an axis of the image."""

    kernel: Sequence[int]
    strides: Sequence[int]
    dilations: Sequence[int]
    before: Sequence[int]
    after: Sequence[int]

    def offsets(self) -> Iterator[list[int]]:
        """How far every position in the kernel is from where the kernel begins on the image."""
        for position in itertools.product(*map(range, self.kernel)):
            yield [index * dilation for index, dilation in zip(position, self.dilations, strict=True)]

    @property
    def extents(self) -> list[int]:
        """How much of the image the kernel covers."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.kernel, self.dilations, strict=True)]


def _convolve(weight: Array, shift: Array, image: Sequence[int], grid: _Grid, *, groups: int) -> Array:
    """``y[p] = sum of W[k] x[stride p + dilation k - before]``, where x is the shift inside the image and 0 outside."""
    inside: Array = np.pad(np.ones(image), list(zip(grid.before, grid.after, strict=True)))
    sizes = [
        (size - extent) // stride + 1
        for size, extent, stride in zip(inside.shape, grid.extents, grid.strides, strict=True)
    ]
    response: Array = np.zeros((len(weight), *sizes))
    taken = _taken(weight, shift, groups=groups)
    for index, offsets in enumerate(grid.offsets()):
        reached = inside[_steps(offsets, sizes, grid.strides)]
        response += taken[:, index].reshape(-1, *[1] * len(sizes)) * reached
    return response[None]


def _convolve_transposed(
    weight: Array, shift: Array, image: Sequence[int], grid: _Grid, *, groups: int, further: Sequence[int]
) -> Array:
    """``y[stride p + dilation k - before] = sum of W[k] x[p]``, cut at the borders."""
    given = _given(weight, shift, groups=groups)
    whole = [
        (size - 1) * stride + extent + more
        for size, stride, extent, more in zip(image, grid.strides, grid.extents, further, strict=True)
    ]
    response: Array = np.zeros((len(given), *whole))
    for index, offsets in enumerate(grid.offsets()):
        reached = response[:, *_steps(offsets, image, grid.strides)]
        reached += given[:, index].reshape(-1, *[1] * len(image))
    kept = [slice(begin, size - end) for begin, size, end in zip(grid.before, whole, grid.after, strict=True)]
    return response[None, :, *kept]


def _steps(offsets: Sequence[int], counts: Sequence[int], strides: Sequence[int]) -> tuple[slice, ...]:
    """So many entries of every axis, from an offset on, one every stride."""
    return tuple(
        slice(offset, offset + (count - 1) * stride + 1, stride)
        for offset, count, stride in zip(offsets, counts, strides, strict=True)
    )


def _taken(weight: Array, shift: Array, *, groups: int) -> Array:
    """``W t`` of a convolution at every position in its kernel, shape ``(output, positions)``."""
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    taken: Array = np.einsum("goi...,gi->go...", by_group, shift.reshape(groups, -1))
    return taken.reshape(len(weight), -1)


def _given(weight: Array, shift: Array, *, groups: int) -> Array:
    """``W t`` of a transposed convolution at every position in its kernel, shape ``(output, positions)``."""
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    given: Array = np.einsum("gio...,gi->go...", by_group, shift.reshape(groups, -1))
    return given.reshape(groups * weight.shape[1], -1)
