import numpy as np
import pytest

from models.datatypes import Datatype
from models.manifest import TensorRecord
from service.errors import InvalidRequest
from service.protocol.raw import decode_raw
from tests.service.wire import LITTLE_ENDIAN


def record(*shape: int, datatype: Datatype = "FP32", name: str = "x") -> TensorRecord:
    return TensorRecord(name=name, datatype=datatype, shape=shape)


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ((-1, 2, 3), 6, (1, 2, 3)),
        ((-1, 2, 3), 18, (3, 2, 3)),
        ((-1,), 4, (4,)),
        ((-1, -1), 4, (1, 4)),
        ((-1, 2, -1), 8, (1, 2, 4)),
        ((2, -1), 8, (2, 4)),
        ((2, 3), 6, (2, 3)),
    ],
)
def test_the_shape_follows_from_the_bytes(shape: tuple[int, ...], values: int, expected: tuple[int, ...]) -> None:
    numbers = np.arange(values, dtype=np.float32)

    request = decode_raw(numbers.tobytes(), [record(*shape)])

    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype) == ("x", "FP32")
    np.testing.assert_array_equal(tensor.array, numbers.reshape(expected), strict=True)


@pytest.mark.parametrize("datatype", sorted(LITTLE_ENDIAN.keys() - {"BYTES"}))
def test_a_body_may_be_numbers_of_any_datatype(datatype: Datatype) -> None:
    numbers = np.array([[0, 1]]).astype(LITTLE_ENDIAN[datatype])

    request = decode_raw(numbers.tobytes(), [record(-1, 2, datatype=datatype)])

    np.testing.assert_array_equal(request.inputs[0].array, numbers, strict=True)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, 1)])
@pytest.mark.parametrize("body", [b"", b"words", b"\xff\0"])
def test_of_strings_the_body_is_one(body: bytes, shape: tuple[int, ...]) -> None:
    one_string = (1,) * len(shape)

    request = decode_raw(body, [record(*shape, datatype="BYTES")])

    assert request.inputs[0].array.shape == one_string
    assert request.inputs[0].array.item() == body


def test_all_outputs_are_wanted_as_bytes() -> None:
    body = bytes(8)

    request = decode_raw(body, [record(-1, 2)])

    assert (request.id, request.outputs, request.timeout_us, request.priority) == (None, None, None, 0)
    assert request.binary_names(["y", "z"]) == {"y", "z"}


@pytest.mark.parametrize(
    ("records", "size", "message"),
    [
        ([record(-1), record(-1, name="z")], 4, "request: expected JSON, since the body can only be a tensor where "),
        ([record(-1, -1, -1)], 4, "request: expected JSON, since more than one dimension of 'x' beside the batch"),
        ([record(-1, 2, datatype="BYTES")], 4, "request: expected JSON, since the body is one string, and 'x' is of"),
        ([record(-1, -1, datatype="BYTES")], 4, "request: expected JSON, since the body is one string, and 'x' is of"),
        ([record(-1, 2)], 0, "request: expected a multiple of 8 bytes, as FP32 of shape [-1, 2] takes, got 0"),
        ([record(-1, 2)], 12, "request: expected a multiple of 8 bytes, as FP32 of shape [-1, 2] takes, got 12"),
        ([record(-1, -1)], 6, "request: expected a multiple of 4 bytes, as FP32 of shape [-1, -1] takes, got 6"),
        ([record(2, 2)], 32, "request: expected 16 bytes, as FP32 of shape [2, 2] takes, got 32"),
        ([record(-1, 0)], 0, "request: expected a multiple of 0 bytes, as FP32 of shape [-1, 0] takes, got 0"),
        ([record(-1, 0)], 4, "request: expected a multiple of 0 bytes, as FP32 of shape [-1, 0] takes, got 4"),
    ],
)
def test_a_body_that_is_no_tensor_of_the_model_is_refused(records: list[TensorRecord], size: int, message: str) -> None:
    body = bytes(size)

    with pytest.raises(InvalidRequest) as refusal:
        decode_raw(body, records)

    assert str(refusal.value).startswith(message)


def test_bool_bytes_other_than_0_and_1_are_refused() -> None:
    body = b"\0\1\2"

    with pytest.raises(InvalidRequest) as refusal:
        decode_raw(body, [record(-1, datatype="BOOL")])

    assert str(refusal.value) == "request: expected bytes 0 and 1 in a tensor of BOOL, got others"
