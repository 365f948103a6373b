import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.decode import decode_request
from service.protocol.messages import InferenceRequest
from tests.service.wire import JSON_DATATYPES, LITTLE_ENDIAN, TEXT, Form, Sent, arrays_of, body_of, bytes_of, strings

Json = Any

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@st.composite
def sent_inputs(draw: st.DrawFn, form: Form | None = None) -> Sent:
    forms: st.SearchStrategy[Form] = st.sampled_from(("nested", "flat", "bytes")) if form is None else st.just(form)
    drawn = draw(forms)
    datatypes: list[Datatype] = sorted(LITTLE_ENDIAN) if drawn == "bytes" else JSON_DATATYPES
    datatype = draw(st.sampled_from(datatypes))
    text = st.binary(max_size=5) if drawn == "bytes" else TEXT
    return Sent(draw(st.text(max_size=5)), datatype, draw(arrays_of(datatype, text=text)), drawn)


def assert_received(request: InferenceRequest, sent: list[Sent]) -> None:
    assert [(tensor.name, tensor.datatype) for tensor in request.inputs] == [
        (each.name, each.datatype) for each in sent
    ]
    for tensor, each in zip(request.inputs, sent, strict=True):
        np.testing.assert_array_equal(tensor.array, each.array, strict=True)


@given(sent_inputs("nested") | sent_inputs("flat"))
@example(Sent("x", "UINT64", np.array([2**64 - 1, 0, 2**63], np.uint64)))
@example(Sent("x", "INT64", np.array([-(2**63), 2**63 - 1])))
@example(Sent("x", "FP64", np.array([-0.0, 5e-324, 1.7976931348623157e308, np.nan, np.inf, -np.inf])))
@example(Sent("x", "FP32", np.array([-0.0, 1e-45, 3.4028235e38, np.nan, np.inf, -np.inf], np.float32)))
@example(Sent("x", "BOOL", np.zeros((2, 0, 3), np.bool_)))
@example(Sent("x", "FP32", np.array(1.5, np.float32)))
def test_any_array_comes_through_json_unchanged(sent: Sent) -> None:
    body, _ = body_of([sent])

    request = decode_request(body)

    assert_received(request, [sent])
    if sent.array.dtype.kind == "f":
        numbers = ~np.isnan(sent.array)
        signs = (np.signbit(request.inputs[0].array[numbers]), np.signbit(sent.array[numbers]))
        np.testing.assert_array_equal(*signs)


@given(sent_inputs("bytes"), st.integers(0, 8))
def test_any_array_comes_through_bytes_bit_by_bit(sent: Sent, padding: int) -> None:
    # the id moves the blob to any offset, so that it starts at addresses which numbers can't be loaded from
    body, header_length = body_of([sent], id="i" * padding)

    request = decode_request(body, header_length=header_length)

    assert_received(request, [sent])
    received = request.inputs[0].array
    assert bytes_of(Sent("", sent.datatype, received)) == bytes_of(sent)
    assert received.flags.aligned
    assert received.flags.c_contiguous


@given(st.lists(sent_inputs(), max_size=4))
def test_json_and_bytes_can_be_mixed(sent: list[Sent]) -> None:
    body, header_length = body_of(sent)

    request = decode_request(body, header_length=header_length)

    assert_received(request, sent)


def attempt(body: bytes, header_length: int | None) -> InferenceRequest | InvalidRequest:
    """What comes of bytes; any other error goes through."""
    try:
        return decode_request(body, header_length=header_length)
    except InvalidRequest as refusal:
        return refusal


@given(st.binary(max_size=200), st.none() | st.integers(-5, 205))
def test_random_bytes_raise_nothing_but_a_refusal(body: bytes, header_length: int | None) -> None:
    acceptable = InferenceRequest | InvalidRequest

    outcome = attempt(body, header_length)

    assert isinstance(outcome, acceptable)


VALID_BODY, VALID_HEADER_LENGTH = body_of(
    [
        Sent("a", "FP32", ROWS),
        Sent("b", "UINT8", np.arange(4, dtype=np.uint8), "bytes"),
        Sent("c", "BOOL", np.array([[True], [False]]), "flat"),
        Sent("d", "FP64", np.array([np.nan, 1.0]), "bytes"),
        Sent("e", "BYTES", strings("a", "", "\u20ac")),
        Sent("f", "BYTES", strings(b"\xff", b""), "bytes"),
        Sent("g", "BF16", np.arange(3, dtype=np.uint16), "bytes"),
    ],
    id="7",
    parameters={"binary_data_output": True, "timeout": 5_000, "priority": 1},
    outputs=[{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
)
CUTS = st.tuples(st.integers(0, len(VALID_BODY)), st.integers(0, 12), st.binary(max_size=12))


@given(st.lists(CUTS, min_size=1, max_size=4), st.integers(-3, 3) | st.none())
def test_a_request_with_wrong_bytes_raises_nothing_but_a_refusal(
    cuts: list[tuple[int, int, bytes]], moved: int | None
) -> None:
    body = VALID_BODY
    for start, length, instead in cuts:
        body = body[:start] + instead + body[start + length :]

    outcome = attempt(body, None if moved is None else VALID_HEADER_LENGTH + moved)

    assert isinstance(outcome, InferenceRequest | InvalidRequest)


Place = tuple[str | int, ...]


def places(document: Json, place: Place = ()) -> list[Place]:
    """Where in a document there is a value."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place, *(inner for key, value in items for inner in places(value, (*place, key)))]


def replaced(document: Json, place: Place, value: Json) -> Json:
    """A document with another value at a place; unchanged if it has no such place any more."""
    if not place:
        return value
    key, *rest = place
    if isinstance(document, dict) and key in document:
        return {**document, key: replaced(document[key], tuple(rest), value)}
    if isinstance(document, list) and isinstance(key, int) and key < len(document):
        return [*document[:key], replaced(document[key], tuple(rest), value), *document[key + 1 :]]
    return document


VALID_DOCUMENT: Json = json.loads(VALID_BODY[:VALID_HEADER_LENGTH])
EDGES = st.sampled_from([0, -1, 1, 2**31, 2**53 + 1, 2**62, 2**63, 2**64 - 1, 2**64, 10**30, 1e39, -1e308, 0.5, ""])
ANY_JSON = st.recursive(
    EDGES | st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(places(VALID_DOCUMENT)), ANY_JSON), min_size=1, max_size=3))
def test_a_request_with_wrong_fields_raises_nothing_but_a_refusal(changes: list[tuple[Place, Json]]) -> None:
    document = VALID_DOCUMENT
    for place, value in changes:
        document = replaced(document, place, value)
    header = json.dumps(document).encode()

    outcome = attempt(header + VALID_BODY[VALID_HEADER_LENGTH:], len(header))

    assert isinstance(outcome, InferenceRequest | InvalidRequest)
