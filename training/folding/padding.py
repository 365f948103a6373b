"""This module knows where a constant in front of a convolution meets zero padding, and what comes of it behind.

A convolution of a constant per channel is the same everywhere, unless it pads: at the border some of the kernel meets
zeros. Where the image has one size, what comes out is a constant map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch.nn import functional

from models.moments import Array
from training.folding import values
from training.folding.obstacle import Obstacle

CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


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
    dimensions = len(sizes)
    image = np.broadcast_to(shift.reshape(1, -1, *[1] * dimensions), (1, len(shift), *(int(size) for size in sizes)))
    strides, dilations = (tuple(node.attributes.get_ints(name, [1] * dimensions)) for name in ("strides", "dilations"))
    groups = node.attributes.get_int("group", 1)
    pads = node.attributes.get_ints("pads", [0] * 2 * dimensions)
    rows, kernel = torch.from_numpy(image.copy()), torch.from_numpy(weight)
    if node.op_type == "Conv":
        padded = functional.pad(rows, _per_axis_from_the_last(pads))
        found = CONVOLUTIONS[dimensions - 1](padded, kernel, stride=strides, dilation=dilations, groups=groups)
    else:
        whole = TRANSPOSED[dimensions - 1](
            rows,
            kernel,
            stride=strides,
            dilation=dilations,
            groups=groups,
            output_padding=tuple(node.attributes.get_ints("output_padding", [0] * dimensions)),
        )
        found = functional.pad(whole, [-pad for pad in _per_axis_from_the_last(pads)])
    array: Array = found.numpy()
    return array


def _per_axis_from_the_last(pads: Sequence[int]) -> list[int]:
    """ONNX lists all beginnings and then all ends, torch the two of the last axis first."""
    half = len(pads) // 2
    return [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[axis + half])]
