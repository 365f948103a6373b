"""The arithmetic on weights is that of a layer before or behind the operator, for any groups, in float64."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn import functional

from folding.rules.padding import is_uniform, response
from folding.rules.weights import along, scale_in_groups
from models.layers import NormalizationLayer
from models.moments import Array
from tests.training.examples import normal_rows


@st.composite
def normalizations(draw: st.DrawFn, channels: int) -> NormalizationLayer:
    def per_channel(low: float, high: float) -> Array:
        return draw(arrays(np.float64, channels, elements=st.floats(low, high)))

    return NormalizationLayer(
        name="norm",
        eps=draw(st.sampled_from([1e-5, 1e-3])),
        gamma=per_channel(-2, 2),
        beta=per_channel(-2, 2),
        mean=per_channel(-2, 2),
        variance=per_channel(0, 2),
    )


def per_channel(values: Array) -> Tensor:
    return torch.from_numpy(values)[None, :, None, None]


def assert_same_up_to_rounding(found: Tensor, expected: Tensor, layer: NormalizationLayer) -> None:
    # at most 54 products of numbers below 5, each rounded by 1e-16, then scaled, and the shift added; or underflow
    size = 300 * np.abs(layer.scale).max() + np.abs(layer.beta).max() + 100 * np.abs(layer.mean * layer.scale).max()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-14 * size + 1e-300)


@given(st.data(), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 3))
def test_a_convolution_takes_in_the_layer_behind_it(
    data: st.DataObject, groups: int, inputs: int, outputs: int
) -> None:
    layer = data.draw(normalizations(groups * outputs))
    weight, rows = normal_rows(groups * outputs, inputs, 2, 3).double(), normal_rows(2, groups * inputs, 4, 4).double()

    folded = torch.from_numpy(along(weight.numpy(), layer.scale, axis=0))

    plain = functional.conv2d(rows, weight, groups=groups)
    found = functional.conv2d(rows, folded, groups=groups) + per_channel(layer.shift)
    assert_same_up_to_rounding(found, plain * per_channel(layer.scale) + per_channel(layer.shift), layer)


@given(st.data(), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 3))
def test_a_transposed_convolution_takes_in_the_layer_behind_it(
    data: st.DataObject, groups: int, inputs: int, outputs: int
) -> None:
    layer = data.draw(normalizations(groups * outputs))
    weight, rows = normal_rows(groups * inputs, outputs, 2, 3).double(), normal_rows(2, groups * inputs, 4, 4).double()

    folded = torch.from_numpy(scale_in_groups(weight.numpy(), layer.scale, groups=groups))

    plain = functional.conv_transpose2d(rows, weight, groups=groups)
    found = functional.conv_transpose2d(rows, folded, groups=groups)
    assert_same_up_to_rounding(found, plain * per_channel(layer.scale), layer)


@given(st.data(), st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 3))
def test_a_convolution_takes_in_the_layer_before_it(
    data: st.DataObject, groups: int, inputs: int, outputs: int
) -> None:
    layer = data.draw(normalizations(groups * inputs))
    weight, rows = normal_rows(groups * outputs, inputs, 2, 3).double(), normal_rows(2, groups * inputs, 4, 4).double()

    scaled = torch.from_numpy(scale_in_groups(weight.numpy(), layer.scale, groups=groups))
    shifted = scale_in_groups(weight.numpy(), layer.shift, groups=groups).sum(axis=(1, 2, 3))

    expected = functional.conv2d(rows * per_channel(layer.scale) + per_channel(layer.shift), weight, groups=groups)
    found = functional.conv2d(rows, scaled, groups=groups) + per_channel(shifted)
    assert_same_up_to_rounding(found, expected, layer)


def convolution(op_type: str, size: tuple[int, ...], **attributes: list[int] | int) -> ir.Node:
    """A node on images of a size, without weights."""
    image = ir.Value(name="image", shape=ir.Shape(["rows", 4, *size]), type=ir.TensorType(ir.DataType.FLOAT))
    made = [
        ir.AttrInt64(name, value) if isinstance(value, int) else ir.AttrInt64s(name, value)
        for name, value in attributes.items()
    ]
    return ir.Node("", op_type, [image], made, name="conv")


@pytest.mark.parametrize(
    ("pads", "padding"), [([1, 1, 1, 1], (1, 1, 1, 1)), ([0, 2, 1, 0], (2, 0, 0, 1))], ids=["even", "uneven"]
)
def test_the_response_to_a_constant_image_is_that_of_a_padded_convolution(
    pads: list[int], padding: tuple[int, ...]
) -> None:
    weight, shift = normal_rows(6, 2, 3, 3).double(), normal_rows(4).double()
    node = convolution("Conv", (5, 7), pads=pads, strides=[2, 1], group=2)

    found = response(node, weight.numpy(), shift.numpy())

    image = functional.pad(shift[None, :, None, None].expand(1, 4, 5, 7), padding)
    expected = functional.conv2d(image, weight, stride=(2, 1), groups=2)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13, atol=1e-13)
    assert not is_uniform(node)


def test_the_response_to_a_constant_image_is_that_of_a_transposed_convolution() -> None:
    weight, shift = normal_rows(4, 3, 3, 3).double(), normal_rows(4).double()
    node = convolution("ConvTranspose", (5, 4), pads=[1, 1, 1, 1], strides=[2, 2], output_padding=[1, 1])

    found = response(node, weight.numpy(), shift.numpy())

    image = shift[None, :, None, None].expand(1, 4, 5, 4)
    expected = functional.conv_transpose2d(image, weight, stride=2, padding=1, output_padding=1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13, atol=1e-13)


@given(st.data())
def test_the_response_is_torch_s_for_any_convolution(data: st.DataObject) -> None:
    axes, groups = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2]))
    inputs, outputs = 2 * groups, groups * data.draw(st.integers(1, 2))

    def per_axis(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    kernel, strides, dilations, before, after = (per_axis(*r) for r in ((1, 3), (1, 3), (1, 2), (0, 2), (0, 2)))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [extent + more for extent, more in zip(extents, per_axis(0, 3), strict=True)]
    weight, shift = normal_rows(outputs, 2, *kernel).double(), normal_rows(inputs).double()
    node = convolution("Conv", tuple(size), strides=strides, dilations=dilations, pads=[*before, *after], group=groups)

    found = response(node, weight.numpy(), shift.numpy())

    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
    image = functional.pad(shift.reshape(1, -1, *[1] * axes).expand(1, inputs, *size), from_the_last(before, after))
    expected = convolve(image, weight, stride=tuple(strides), dilation=tuple(dilations), groups=groups)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13, atol=1e-13)


@given(st.data())
def test_the_response_is_torch_s_for_any_transposed_convolution(data: st.DataObject) -> None:
    axes, groups = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2]))
    inputs, outputs = 2 * groups, data.draw(st.integers(1, 2))

    def per_axis(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    kernel, strides, dilations, size = (per_axis(*r) for r in ((2, 3), (1, 3), (1, 2), (2, 4)))
    before, after = per_axis(0, 1), per_axis(0, 1)
    further = [data.draw(st.integers(0, stride - 1)) for stride in strides]  # torch takes no more
    weight, shift = normal_rows(inputs, outputs, *kernel).double(), normal_rows(inputs).double()
    node = convolution(
        "ConvTranspose",
        tuple(size),
        strides=strides,
        dilations=dilations,
        pads=[*before, *after],
        output_padding=further,
        group=groups,
    )

    found = response(node, weight.numpy(), shift.numpy())

    convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[axes - 1]
    image = shift.reshape(1, -1, *[1] * axes).expand(1, inputs, *size)
    whole = convolve(
        image, weight, stride=tuple(strides), output_padding=tuple(further), groups=groups, dilation=tuple(dilations)
    )
    expected = functional.pad(whole, [-pad for pad in from_the_last(before, after)])
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13, atol=1e-13)


def from_the_last(before: list[int], after: list[int]) -> list[int]:
    """Padding as torch lists it: the two of the last axis first."""
    return [pad for pair in reversed(list(zip(before, after, strict=True))) for pad in pair]


@pytest.mark.parametrize(("pads", "uniform"), [([0, 0, 0, 0], True), ([0, 0, 1, 0], False)])
def test_a_convolution_is_uniform_where_it_does_not_pad(pads: list[int], uniform: bool) -> None:
    node = convolution("Conv", (5, 5), pads=pads)

    found = is_uniform(node)

    assert found is uniform
