import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.encode import encode_answer
from service.protocol.messages import InferenceAnswer, Tensor
from tests.service.wire import BINARY_DATATYPES, LITTLE_ENDIAN, arrays_of, read_answer, strings

ROWS = np.array([[1.0, -2.5], [0.0, 3.0], [4.0, 5.0]], np.float32)


def answer_of(
    *outputs: Tensor, binary: frozenset[str] = frozenset(), name: str = "tiny", request_id: str | None = None
) -> InferenceAnswer:
    return InferenceAnswer(name, "3", request_id, outputs, binary)


def test_an_answer_of_numbers_is_json_as_the_protocol_writes_it() -> None:
    answer = answer_of(Tensor("y", "FP32", ROWS), request_id="7")

    encoded = encode_answer(answer)

    assert encoded.header_length is None
    assert list(json.loads(encoded.body).items()) == [
        ("model_name", "tiny"),
        ("model_version", "3"),
        ("id", "7"),
        ("outputs", [{"name": "y", "shape": [3, 2], "datatype": "FP32", "data": [1.0, -2.5, 0.0, 3.0, 4.0, 5.0]}]),
    ]


def test_an_answer_of_bytes_is_json_and_then_the_bytes() -> None:
    answer = answer_of(Tensor("y", "FP32", ROWS), Tensor("z", "INT64", np.array([5])), binary=frozenset({"y"}))

    encoded = encode_answer(answer)

    assert encoded.header_length == len(encoded.body) - 24
    assert encoded.body[encoded.header_length :] == ROWS.tobytes()
    assert json.loads(encoded.body[: encoded.header_length])["outputs"] == [
        {"name": "y", "shape": [3, 2], "datatype": "FP32", "parameters": {"binary_data_size": 24}},
        {"name": "z", "shape": [1], "datatype": "INT64", "data": [5]},
    ]


def test_no_id_is_answered_where_none_was_sent() -> None:
    answer = answer_of(Tensor("y", "FP32", ROWS))

    encoded = encode_answer(answer)

    assert "id" not in json.loads(encoded.body)


def test_an_empty_id_is_an_id() -> None:
    answer = answer_of(Tensor("y", "FP32", ROWS), request_id="")

    encoded = encode_answer(answer)

    assert json.loads(encoded.body)["id"] == ""


def test_numbers_that_json_lacks_are_bare_literals() -> None:
    answer = answer_of(Tensor("y", "FP64", np.array([np.nan, np.inf, -np.inf, 0.5])))

    encoded = encode_answer(answer)

    assert b'"data":[NaN, Infinity, -Infinity, 0.5]' in encoded.body


@pytest.mark.parametrize("datatype", BINARY_DATATYPES)
def test_half_precision_goes_as_bytes_even_where_json_was_asked_for(datatype: Datatype) -> None:
    halves = np.array([0.5, np.inf], np.float16).view(LITTLE_ENDIAN[datatype])
    answer = answer_of(Tensor("y", datatype, halves))

    encoded = encode_answer(answer)

    _, outputs = read_answer(encoded.body, encoded.header_length)
    np.testing.assert_array_equal(outputs["y"], halves, strict=True)


@pytest.mark.parametrize("binary", [frozenset[str](), frozenset({"y"})])
def test_an_array_that_lies_otherwise_in_memory_goes_row_by_row(binary: frozenset[str]) -> None:
    transposed = np.arange(12, dtype=np.int32).reshape(3, 4).T
    answer = answer_of(Tensor("y", "INT32", transposed), binary=binary)

    encoded = encode_answer(answer)

    _, outputs = read_answer(encoded.body, encoded.header_length)
    np.testing.assert_array_equal(outputs["y"], transposed)


def test_strings_go_as_json_or_as_bytes() -> None:
    words = strings("a", "\u20ac", "").reshape(1, 3)
    answer = answer_of(Tensor("y", "BYTES", words), Tensor("z", "BYTES", words), binary=frozenset({"z"}))

    encoded = encode_answer(answer)

    document, outputs = read_answer(encoded.body, encoded.header_length)
    assert document["outputs"][0]["data"] == ["a", "\u20ac", ""]
    np.testing.assert_array_equal(outputs["z"], words)


def test_strings_that_are_no_text_go_only_as_bytes() -> None:
    answer = answer_of(Tensor("y", "BYTES", strings(b"a", b"\xff")))

    with pytest.raises(InvalidRequest) as refusal:
        encode_answer(answer)

    assert str(refusal.value) == (
        "outputs: expected strings in UTF-8 in the JSON of 'y', got other bytes; ask for it as binary data"
    )


@st.composite
def tensors(draw: st.DrawFn, name: str) -> Tensor:
    datatype: Datatype = draw(st.sampled_from(sorted(LITTLE_ENDIAN)))
    return Tensor(name, datatype, draw(arrays_of(datatype)))


@st.composite
def answers(draw: st.DrawFn) -> InferenceAnswer:
    names = draw(st.lists(st.text(max_size=4), max_size=4, unique=True))
    return InferenceAnswer(
        model_name=draw(st.text(max_size=5)),
        model_version=draw(st.text(max_size=5)),
        id=draw(st.none() | st.text(max_size=5)),
        outputs=[draw(tensors(name)) for name in names],
        binary=frozenset(draw(st.sets(st.sampled_from(names)))) if names else frozenset(),
    )


@given(answers())
def test_any_answer_is_read_back_unchanged(answer: InferenceAnswer) -> None:
    expected_head = (answer.model_name, answer.model_version, answer.id)

    encoded = encode_answer(answer)

    document, outputs = read_answer(encoded.body, encoded.header_length)
    assert (document["model_name"], document["model_version"], document.get("id")) == expected_head
    assert [(each["name"], each["datatype"]) for each in document["outputs"]] == [
        (tensor.name, tensor.datatype) for tensor in answer.outputs
    ]
    for tensor in answer.outputs:
        np.testing.assert_array_equal(outputs[tensor.name], tensor.array, strict=True)


@given(answers())
def test_outputs_go_as_bytes_where_they_are_wanted_so(answer: InferenceAnswer) -> None:
    wanted = {
        tensor.name for tensor in answer.outputs if tensor.name in answer.binary or tensor.datatype in BINARY_DATATYPES
    }

    encoded = encode_answer(answer)

    document, _ = read_answer(encoded.body, encoded.header_length)
    assert {output["name"] for output in document["outputs"] if "parameters" in output} == wanted
    assert all(np.ndim(output["data"]) == 1 for output in document["outputs"] if "data" in output)
    assert (encoded.header_length is not None) == bool(wanted)
