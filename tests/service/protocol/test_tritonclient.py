"""What Triton's own client sends and reads, without a server between them."""

import ml_dtypes
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from models.datatypes import Datatype
from service.protocol.classification import classify
from service.protocol.decode import decode_request
from service.protocol.encode import encode_answer
from service.protocol.messages import InferenceAnswer, RequestedOutput, Tensor
from tests.service.wire import BINARY_DATATYPES, LITTLE_ENDIAN, Array, strings

FORMS = [(datatype, binary) for datatype in sorted(LITTLE_ENDIAN) for binary in (True, False)]
SENT = [(datatype, binary) for datatype, binary in FORMS if binary or datatype not in BINARY_DATATYPES]


def values_of(datatype: Datatype) -> Array:
    """A tensor as the client has it, which knows a BF16 of its own."""
    if datatype == "BYTES":
        return strings("a", "\u20ac", "", "b").reshape(2, 2)
    return np.array([[0, 1], [1, 0]]).astype(ml_dtypes.bfloat16 if datatype == "BF16" else LITTLE_ENDIAN[datatype])


def held(datatype: Datatype, values: Array) -> Array:
    """The same tensor as this side holds it."""
    return values.view(np.uint16) if datatype == "BF16" else values


@pytest.mark.parametrize(("datatype", "binary"), SENT)
def test_what_it_sends_is_read(datatype: Datatype, binary: bool) -> None:
    values = values_of(datatype)
    sent = InferInput("x", values.shape, datatype)
    sent.set_data_from_numpy(values, binary_data=binary)
    body, header_length = InferenceServerClient.generate_request_body(
        [sent],
        outputs=[InferRequestedOutput("y", binary_data=False, class_count=2)],
        timeout=5_000,
        priority=1,
        sequence_id=0,
    )

    request = decode_request(body, header_length=header_length)

    assert (request.inputs[0].name, request.inputs[0].datatype) == ("x", datatype)
    np.testing.assert_array_equal(request.inputs[0].array, held(datatype, values), strict=True)
    assert request.outputs == [RequestedOutput("y", binary=False, classification=2)]
    assert (request.timeout_us, request.priority) == (5_000, 1)


@pytest.mark.parametrize(("datatype", "binary"), FORMS)
def test_it_reads_what_is_answered(datatype: Datatype, binary: bool) -> None:
    values = values_of(datatype)
    outputs = [Tensor("y", datatype, held(datatype, values)), Tensor("z", "INT8", np.array([7], np.int8))]
    encoded = encode_answer(InferenceAnswer("tiny", "1", None, outputs, frozenset({"y"} if binary else ())))

    result = InferResult.from_response_body(encoded.body, header_length=encoded.header_length)

    received = result.as_numpy("y")
    if datatype == "BYTES" and not binary:  # of JSON it makes its own strings
        received = strings(*received.ravel()).reshape(2, 2)
    np.testing.assert_array_equal(received, values)
    assert result.as_numpy("z").tolist() == [7]


def test_it_reads_classes() -> None:
    classes = classify(Tensor("y", "FP32", np.array([[0.5, 2.0]], np.float32)), 1, ["no", "yes"])
    encoded = encode_answer(InferenceAnswer("tiny", "1", None, [classes], frozenset({"y"})))

    result = InferResult.from_response_body(encoded.body, header_length=encoded.header_length)

    assert result.as_numpy("y").tolist() == [[b"2.000000:1:yes"]]
