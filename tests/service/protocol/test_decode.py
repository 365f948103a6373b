import json
import time
from typing import Any

import numpy as np
import pytest

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.decode import decode_request
from service.protocol.messages import InferenceRequest, RequestedOutput
from tests.service.wire import BINARY_DATATYPES, LITTLE_ENDIAN, Form, Sent, body_of

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)

ONE_INPUT: dict[str, Any] = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}


def with_input(*, without: str = "", **fields: object) -> dict[str, Any]:
    """A request whose one input differs in some fields."""
    return {"inputs": [{key: value for key, value in {**ONE_INPUT, **fields}.items() if key != without}]}


def with_fields(**fields: object) -> dict[str, Any]:
    """A request with other fields beside its inputs."""
    return {"inputs": [ONE_INPUT], **fields}


def with_output(**fields: object) -> dict[str, Any]:
    """A request for one output."""
    return with_fields(outputs=[{"name": "y", **fields}])


def decode(document: object) -> InferenceRequest:
    return decode_request(json.dumps(document).encode())


REFUSED_DOCUMENTS: list[tuple[object, str]] = [
    ([], "request: expected an object, got []"),
    (None, "request: expected an object, got null"),
    ("inputs", 'request: expected an object, got "inputs"'),
    ({}, "request: expected inputs, a list of tensors with name, datatype, shape and data, got none"),
    ({"inputs": None}, "request: expected inputs, a list of tensors with name, datatype, shape and data, got none"),
    ({"inputs": ONE_INPUT}, "inputs: expected a list, got {"),
    ({"inputs": [ONE_INPUT, 1]}, "inputs[1]: expected an object, got 1"),
    (with_fields(id=5), "id: expected a string, got 5"),
    (with_fields(id=["a"]), 'id: expected a string, got ["a"]'),
    (with_fields(parameters=[]), "parameters: expected an object, got []"),
    (
        with_fields(parameters={"binary_data_output": 1}),
        "parameters.binary_data_output: expected true or false, got 1",
    ),
    (with_input(without="name"), "inputs[0].name: expected a string, got null"),
    (with_input(name=7), "inputs[0].name: expected a string, got 7"),
    (with_input(without="datatype"), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(datatype="FP8"), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(datatype="fp32"), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(datatype=32), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(datatype=["FP32"]), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(datatype={}), "inputs[0].datatype: expected one of BOOL, UINT8, "),
    (with_input(without="shape"), "inputs[0].shape: expected a list, got null"),
    (with_input(shape=2), "inputs[0].shape: expected a list, got 2"),
    (with_input(shape=[2, "1"]), 'inputs[0].shape[1]: expected a whole number, 0 or more, got "1"'),
    (with_input(shape=[2, -1]), "inputs[0].shape[1]: expected a whole number, 0 or more, got -1"),
    (with_input(shape=[2.0]), "inputs[0].shape[0]: expected a whole number, 0 or more, got 2.0"),
    (with_input(shape=[True]), "inputs[0].shape[0]: expected a whole number, 0 or more, got true"),
    (with_input(shape=[[2]]), "inputs[0].shape[0]: expected a whole number, 0 or more, got [2]"),
    (with_input(shape=[3]), "inputs[0].data: expected 3 values, as shape [3] says, got 2"),
    (with_input(shape=[2**63 - 1]), "inputs[0]."),
    (with_input(shape=[2**62, 2**62]), "inputs[0]."),
    (with_input(shape=[]), "inputs[0].data: expected 1 values, as shape [] says, got 2"),
    (with_input(shape=[0]), "inputs[0].data: expected 0 values, as shape [0] says, got 2"),
    (with_input(shape=[0, 2**62], data=[]), "inputs[0].shape: expected "),
    (with_input(shape=[2] + [1] * 64), "inputs[0].shape: expected "),
    (with_input(shape=[2**63] * 300), "inputs[0].shape: expected "),
    (with_input(without="data"), "inputs[0]: expected data or parameters.binary_data_size, got neither"),
    (with_input(data=1), "inputs[0].data: expected a list, got 1"),
    (with_input(data=None), "inputs[0].data: expected a list, got null"),
    (with_input(data="AAAA"), 'inputs[0].data: expected a list, got "AAAA"'),
    (with_input(data={"0": 1}), 'inputs[0].data: expected a list, got {"0": 1}'),
    (with_input(parameters="no"), 'inputs[0].parameters: expected an object, got "no"'),
    (
        with_input(parameters={"binary_data_size": 8}),
        "inputs[0]: expected either data or parameters.binary_data_size, got both",
    ),
    (
        with_input(without="data", parameters={"binary_data_size": -8}),
        "inputs[0].parameters.binary_data_size: expected a whole number, 0 or more, got -8",
    ),
    (
        with_input(without="data", parameters={"binary_data_size": "8"}),
        'inputs[0].parameters.binary_data_size: expected a whole number, 0 or more, got "8"',
    ),
    (
        with_input(without="data", parameters={"binary_data_size": True}),
        "inputs[0].parameters.binary_data_size: expected a whole number, 0 or more, got true",
    ),
    (
        with_input(without="data", parameters={"binary_data_size": 4}),
        "inputs[0].parameters.binary_data_size: expected 8, as FP32 of shape [2] takes, got 4",
    ),
    (
        with_input(without="data", parameters={"binary_data_size": 8}),
        "inputs[0].parameters.binary_data_size: expected 8 bytes behind the JSON, got 0",
    ),
    (with_fields(outputs={"name": "y"}), 'outputs: expected a list, got {"name": "y"}'),
    (with_fields(outputs=False), "outputs: expected a list, got false"),
    (with_fields(outputs={}), "outputs: expected a list, got {}"),
    (with_fields(outputs=["y"]), 'outputs[0]: expected an object, got "y"'),
    (with_fields(outputs=[{}]), "outputs[0].name: expected a string, got null"),
    (
        with_fields(outputs=[{"name": "y"}, {"name": "z"}, {"name": "y"}]),
        "outputs[2].name: expected each output once, got 'y' again",
    ),
    (with_output(parameters=1), "outputs[0].parameters: expected an object, got 1"),
    (with_output(parameters={"binary_data": "yes"}), "outputs[0].parameters.binary_data: expected true or false, got"),
    (
        with_output(parameters={"classification": -3}),
        "outputs[0].parameters.classification: expected a whole number, 0 or more, got -3",
    ),
    (
        with_output(parameters={"classification": True}),
        "outputs[0].parameters.classification: expected a whole number, 0 or more, got true",
    ),
    (with_fields(parameters={"timeout": -1}), "parameters.timeout: expected a whole number, 0 or more, got -1"),
    (with_fields(parameters={"timeout": "5"}), 'parameters.timeout: expected a whole number, 0 or more, got "5"'),
    (with_fields(parameters={"timeout": 2**64}), "parameters.timeout: expected a whole number, "),
    (with_fields(parameters={"priority": 1.5}), "parameters.priority: expected a whole number, 0 or more, got 1.5"),
    (with_fields(parameters={"sequence_id": 7}), "parameters.sequence_id: expected none, "),
    (with_fields(parameters={"sequence_id": "a"}), "parameters.sequence_id: expected none, "),
    (with_fields(parameters={"sequence_id": []}), "parameters.sequence_id: expected none, "),
    (with_fields(parameters={"sequence_start": True}), "parameters.sequence_start: expected none, "),
    (with_fields(parameters={"sequence_end": True}), "parameters.sequence_end: expected none, "),
    (with_fields(parameters={"triton_x": 1}), "parameters: expected no name that starts with triton_, got 'triton_x'"),
]


@pytest.mark.parametrize(("document", "message"), REFUSED_DOCUMENTS)
def test_a_refusal_starts_with_the_field_and_says_what_came(document: object, message: str) -> None:
    body = json.dumps(document).encode()

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body)

    assert str(refusal.value).startswith(message)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "request: expected "),
        (b" ", "request: expected JSON"),
        (b"{", "request: expected JSON"),
        (b'{"inputs": [}', "request: expected JSON, got something else at line 1 column 13"),
        (b'{"inputs": []} x', "request: expected JSON"),
        (b"\xff{}", "request: expected JSON in UTF-8"),
        (b'{"id": "\xe9"}', "request: expected JSON in UTF-8"),
        (b'{"inputs": [1' + b"0" * 5000 + b"]}", "request: expected JSON"),
        (b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1e400]}]}', "request: expected "),
        (b'{"id": "\\ud800", "inputs": []}', "id: expected "),
    ],
)
def test_bytes_that_are_no_json_are_refused(body: bytes, message: str) -> None:
    expected = message

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body)

    assert str(refusal.value).startswith(expected)


@pytest.mark.parametrize("depth", [65, 500, 900, 980, 1_000, 1_020, 1_030, 5_000, 100_000])
@pytest.mark.parametrize(
    "place",
    [
        b"%s",
        b'{"id": %s}',
        b'{"inputs": %s}',
        b'{"inputs": [], "parameters": {"binary_data_output": %s}}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": %s}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": %s}]}',
    ],
)
def test_deep_nesting_is_refused(place: bytes, depth: int) -> None:
    body = place % (b"[" * depth + b"true" + b"]" * depth)

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body)

    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("header_length", [0, -1, -(2**70), 1_000_000, 2**70])
def test_a_header_length_outside_of_the_body_is_refused(header_length: int) -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS)])

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body, header_length=header_length)

    assert str(refusal.value) == (
        f"Inference-Header-Content-Length: expected 1 to {len(body)}, the length of the body, got {header_length}"
    )


def test_json_is_only_read_up_to_the_header_length() -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS)])

    with pytest.raises(InvalidRequest, match=r"^request: expected JSON"):
        decode_request(body, header_length=header_length - 1)


@pytest.mark.parametrize("leftover", [b"\0", b" ", bytes(1000)])
@pytest.mark.parametrize("form", ["flat", "bytes"])
def test_leftover_bytes_are_refused(form: Form, leftover: bytes) -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS, form)])

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body + leftover, header_length=header_length)

    assert str(refusal.value).startswith("request: expected no bytes behind those of the inputs")
    assert f"got {len(leftover)} more" in str(refusal.value)


def test_a_short_blob_is_refused() -> None:
    body, header_length = body_of([Sent("x", "FP32", ROWS, "bytes"), Sent("y", "FP32", ROWS, "bytes")])

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body[:-1], header_length=header_length)

    assert str(refusal.value) == ("inputs[1].parameters.binary_data_size: expected 24 bytes behind the JSON, got 23")


def test_a_blob_without_a_header_length_is_refused() -> None:
    body, _ = body_of([Sent("x", "FP32", ROWS, "bytes")])

    with pytest.raises(InvalidRequest, match=r"^request: expected JSON"):
        decode_request(body)


def test_bool_bytes_other_than_0_and_1_are_refused() -> None:
    body, header_length = body_of([Sent("x", "BOOL", np.array([True, False]), "bytes")])

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body[:-1] + b"\2", header_length=header_length)

    assert str(refusal.value).startswith("inputs[0]: expected bytes 0 and 1 in a tensor of BOOL")


@pytest.mark.parametrize("datatype", BINARY_DATATYPES)
def test_half_precision_comes_only_as_bytes(datatype: Datatype) -> None:
    body, _ = body_of([Sent("x", datatype, np.ones(2, LITTLE_ENDIAN[datatype]), "flat")])

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(body)

    assert str(refusal.value) == f"inputs[0].data: expected {datatype} as binary data, got JSON"


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "inputs[0]: expected 2 strings, each behind its length in 4 bytes, got 0 bytes"),
        (b"\1\0\0\0a", "inputs[0]: expected 2 strings, each behind its length in 4 bytes, got 5 bytes"),
        (b"\1\0\0\0a\1\0\0", "inputs[0]: expected 2 strings, each behind its length in 4 bytes, got 8 bytes"),
        (b"\1\0\0\0a\xff\xff\xff\xffb", "inputs[0]: expected 2 strings, each behind its length in 4 bytes, got 10"),
        (b"\1\0\0\0a\1\0\0\0bc", "inputs[0]: expected 2 strings in 10 bytes, got 11"),
    ],
)
def test_bytes_that_are_not_as_many_strings_are_refused(blob: bytes, message: str) -> None:
    header = json.dumps(
        with_input(without="data", datatype="BYTES", parameters={"binary_data_size": len(blob)})
    ).encode()

    with pytest.raises(InvalidRequest) as refusal:
        decode_request(header + blob, header_length=len(header))

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("parameters", "timeout_us", "priority"),
    [
        ({}, None, 0),
        ({"timeout": None, "priority": None}, None, 0),
        ({"timeout": 0, "priority": 0}, None, 0),
        ({"timeout": 2_000_000, "priority": 3}, 2_000_000, 3),
        ({"timeout": 2**64 - 1}, 2**64 - 1, 0),
    ],
)
def test_a_request_may_say_how_soon_it_wants_its_answer(
    parameters: dict[str, Any], timeout_us: int | None, priority: int
) -> None:
    document = with_fields(parameters=parameters)

    request = decode(document)

    assert (request.timeout_us, request.priority) == (timeout_us, priority)


@pytest.mark.parametrize("identifier", [0, "", None])
def test_a_request_may_say_that_it_belongs_to_no_sequence(identifier: object) -> None:
    document = with_fields(
        parameters={"sequence_id": identifier, "sequence_start": False, "sequence_end": False, "tritonic": 1}
    )

    request = decode(document)

    assert len(request.inputs) == 1


@pytest.mark.parametrize(("asked", "classification"), [(None, 0), (0, 0), (3, 3)])
def test_an_output_may_be_wanted_as_its_best_classes(asked: int | None, classification: int) -> None:
    document = with_output(parameters={"classification": asked, "binary_data": True})

    request = decode(document)

    assert request.outputs == [RequestedOutput("y", binary=True, classification=classification)]


def test_fields_that_are_not_known_are_ignored() -> None:
    sent = {**ONE_INPUT, "parameters": {"content_type": "np"}, "extra": {"a": [1]}}
    document = {
        "model_name": "x",
        "request_id": 3,
        "inputs": [sent],
        "outputs": [{"name": "y", "extra": 1, "parameters": {"other": None}}],
        "parameters": {"timeout": 5, "headers": {}},
    }

    request = decode(document)

    assert [tensor.array.tolist() for tensor in request.inputs] == [[1.0, 2.0]]
    assert request.outputs == [RequestedOutput("y", binary=False)]


@pytest.mark.parametrize("fields", [{}, {"id": None, "parameters": None, "outputs": None}, {"outputs": []}])
def test_what_is_left_out_or_null_takes_its_default(fields: dict[str, object]) -> None:
    document = with_fields(**fields)

    request = decode(document)

    assert (request.id, request.outputs, request.binary_outputs) == (None, None, False)


@pytest.mark.parametrize("name", ["", "42", "ünïcödé \u2028 \U0001f600", "\0", "x" * 10_000])
def test_an_id_is_taken_as_it_is(name: str) -> None:
    document = with_fields(id=name)

    request = decode(document)

    assert request.id == name


@pytest.mark.parametrize(
    ("binary_data_output", "binary_data", "binary"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, True, True),
        (True, False, False),
        (False, None, False),
        (False, True, True),
    ],
)
def test_an_output_says_for_itself_whether_it_goes_as_bytes(
    binary_data_output: bool | None, binary_data: bool | None, binary: bool
) -> None:
    document = {
        **with_output(parameters={"binary_data": binary_data}),
        "parameters": {"binary_data_output": binary_data_output},
    }

    request = decode(document)

    assert request.outputs == [RequestedOutput("y", binary)]
    assert request.binary_names(["y", "z"]) == ({"y"} if binary else set())


@pytest.mark.parametrize(("binary_data_output", "names"), [(True, {"y", "z"}), (False, set())])
def test_all_outputs_go_as_the_request_says(binary_data_output: bool, names: set[str]) -> None:
    document = with_fields(parameters={"binary_data_output": binary_data_output})

    request = decode(document)

    assert request.binary_names(["y", "z"]) == names


def test_outputs_keep_the_order_in_which_they_are_wanted() -> None:
    document = with_fields(outputs=[{"name": "z"}, {"name": "a"}, {"name": "m"}])

    request = decode(document)

    assert request.outputs is not None
    assert [output.name for output in request.outputs] == ["z", "a", "m"]


def test_thousands_of_outputs_are_read_at_once() -> None:
    body = json.dumps(with_fields(outputs=[{"name": f"y{index}"} for index in range(8_000)])).encode()
    started = time.process_time()

    request = decode_request(body)

    assert request.outputs is not None
    # a few ms where each name is looked up; comparing each with all before it takes seconds, in which nobody is served
    assert time.process_time() - started < 0.5
