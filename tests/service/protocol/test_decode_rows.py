"""A request for what is done with rows as a whole: as an inference request, but for inputs that may be left out."""

import json

import numpy as np
import pytest

from service.errors import InvalidRequest
from service.protocol.decode import decode_rows
from tests.service.wire import Form, Sent, body_of

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("form", ["nested", "bytes"])
def test_rows_come_as_an_inference_request_brings_them(form: Form) -> None:
    """Both forms of a tensor are read."""
    body, header_length = body_of([Sent("x", "FP32", ROWS, form)])

    request = decode_rows(body, header_length=header_length)

    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype) == ("x", "FP32")
    np.testing.assert_array_equal(tensor.array, ROWS)


@pytest.mark.parametrize("document", [{}, {"inputs": None}, {"inputs": []}], ids=str)
def test_no_inputs_are_no_rows(document: dict[str, object]) -> None:
    """What an inference request is refused for is how a client sends no rows here."""
    request = decode_rows(json.dumps(document).encode())

    assert request.inputs == []


def test_all_parameters_are_given_as_they_came() -> None:
    """Whoever takes rows knows what its own parameters mean."""
    parameters = {"prior_rows": 7, "force": True, "unknown": ["a"]}

    request = decode_rows(json.dumps({"parameters": parameters}).encode())

    assert request.parameters == parameters


@pytest.mark.parametrize("parameters", [None, {}], ids=str)
def test_no_parameters_are_empty_ones(parameters: object) -> None:
    """A field that is null counts as left out."""
    request = decode_rows(json.dumps({"parameters": parameters}).encode())

    assert request.parameters == {}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "request: expected JSON"),
        (b"[]", "request: expected an object, got []"),
        (b'{"inputs": {}}', "inputs: expected a list, got {}"),
        (b'{"inputs": [1]}', "inputs[0]: expected an object, got 1"),
        (b'{"parameters": []}', "parameters: expected an object, got []"),
    ],
    ids=str,
)
def test_what_is_no_request_is_refused(body: bytes, complaint: str) -> None:
    """The sentence is the one that an inference request gets."""
    with pytest.raises(InvalidRequest) as refused:
        decode_rows(body)

    assert str(refused.value).startswith(complaint)


def test_bytes_behind_those_of_the_inputs_are_refused() -> None:
    """A header length that is wrong is told, not taken for fewer rows."""
    body, header_length = body_of([Sent("x", "FP32", ROWS, "bytes")])

    with pytest.raises(InvalidRequest, match="expected no bytes behind those of the inputs, got 1 more"):
        decode_rows(body + b"0", header_length=header_length)
