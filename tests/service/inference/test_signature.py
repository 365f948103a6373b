from typing import Any

import numpy as np
import pytest

from models.datatypes import Datatype
from models.manifest import TensorRecord
from service.errors import InvalidRequest
from service.inference.signature import Signature
from service.protocol.messages import RequestedOutput, Tensor

IMAGE = TensorRecord(name="image", datatype="FP32", shape=(-1, 1, 8, 8))
MASK = TensorRecord(name="mask", datatype="BOOL", shape=(-1, -1))
OUTPUTS = [TensorRecord(name=name, datatype="FP32", shape=(-1, 2)) for name in ("logits", "embedding")]


def tensor(name: str, datatype: Datatype, *shape: int) -> Tensor:
    dtypes: dict[str, Any] = {"FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_}
    return Tensor(name, datatype, np.zeros(shape, dtypes[datatype]))


def image(*shape: int) -> Tensor:
    return tensor("image", "FP32", *shape)


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_inputs_that_fit_are_taken_by_name(count: int) -> None:
    tensors = [tensor("mask", "BOOL", count, 5), image(count, 1, 8, 8)]

    inputs = Signature([IMAGE, MASK], OUTPUTS).match_inputs(tensors)

    assert {name: array.shape for name, array in inputs.items()} == {"image": (count, 1, 8, 8), "mask": (count, 5)}
    assert inputs["image"] is tensors[1].array


@pytest.mark.parametrize("size", [0, 1, 9])
def test_a_size_that_varies_may_be_any(size: int) -> None:
    tensors = [tensor("mask", "BOOL", 2, size)]

    inputs = Signature([MASK], OUTPUTS).match_inputs(tensors)

    assert inputs["mask"].shape == (2, size)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], "inputs: expected all of 'image', got none named 'image'"),
        ([tensor("img", "FP32", 1, 1, 8, 8)], "inputs[0].name: expected 'image', got 'img'"),
        ([tensor("", "FP32", 1, 1, 8, 8)], "inputs[0].name: expected 'image', got ''"),
        ([image(1, 1, 8, 8), image(1, 1, 8, 8)], "inputs[1].name: expected each input once, got 'image' again"),
        ([tensor("image", "FP64", 1, 1, 8, 8)], "inputs[0].datatype: expected FP32, got FP64"),
        ([image(1, 8, 8)], "inputs[0].shape: expected [-1, 1, 8, 8], got [1, 8, 8]"),
        ([image(1, 1, 1, 8, 8)], "inputs[0].shape: expected [-1, 1, 8, 8], got [1, 1, 1, 8, 8]"),
        ([image(1, 3, 8, 8)], "inputs[0].shape: expected [-1, 1, 8, 8], got [1, 3, 8, 8]"),
        ([image(1, 1, 8, 9)], "inputs[0].shape: expected [-1, 1, 8, 8], got [1, 1, 8, 9]"),
        ([image(64)], "inputs[0].shape: expected [-1, 1, 8, 8], got [64]"),
        ([image()], "inputs[0].shape: expected [-1, 1, 8, 8], got []"),
        ([image(0, 1, 8, 8)], "inputs[0].shape: expected at least one row, got [0, 1, 8, 8]"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(tensors: list[Tensor], message: str) -> None:
    records = [IMAGE]

    with pytest.raises(InvalidRequest) as refusal:
        Signature(records, OUTPUTS).match_inputs(tensors)

    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([tensor("x", "FP32", 1)], "inputs[0].name: expected one of 'image', 'mask', got 'x'"),
        (
            [image(2, 1, 8, 8), tensor("mask", "BOOL", 3, 5)],
            "inputs: expected the same number of rows in each, got {'image': 2, 'mask': 3}",
        ),
        ([image(2, 1, 8, 8), tensor("mask", "BOOL", 2)], "inputs[1].shape: expected [-1, -1], got [2]"),
    ],
)
def test_inputs_that_do_not_fit_together_are_refused(tensors: list[Tensor], message: str) -> None:
    records = [IMAGE, MASK]

    with pytest.raises(InvalidRequest) as refusal:
        Signature(records, OUTPUTS).match_inputs(tensors)

    assert str(refusal.value) == message


def test_an_input_that_is_missing_is_named() -> None:
    tensors = [tensor("mask", "BOOL", 1, 5)]

    with pytest.raises(InvalidRequest) as refusal:
        Signature([IMAGE, MASK], OUTPUTS).match_inputs(tensors)

    assert str(refusal.value) == "inputs: expected all of 'image', 'mask', got none named 'image'"


def test_all_outputs_are_given_where_none_is_named() -> None:
    requested = None

    names = Signature([IMAGE], OUTPUTS).match_outputs(requested)

    assert names == ["logits", "embedding"]


@pytest.mark.parametrize("wanted", [["logits"], ["embedding"], ["embedding", "logits"], ["logits", "embedding"]])
def test_outputs_are_given_in_the_order_in_which_they_are_named(wanted: list[str]) -> None:
    requested = [RequestedOutput(name, binary=False) for name in wanted]

    names = Signature([IMAGE], OUTPUTS).match_outputs(requested)

    assert names == wanted


def test_an_output_that_the_model_lacks_is_refused() -> None:
    requested = [RequestedOutput("logits", binary=False), RequestedOutput("probabilities", binary=True)]

    with pytest.raises(InvalidRequest) as refusal:
        Signature([IMAGE], OUTPUTS).match_outputs(requested)

    assert str(refusal.value) == "outputs[1].name: expected one of 'logits', 'embedding', got 'probabilities'"
