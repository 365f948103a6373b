import json
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
import simdjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.decode import decode_request
from service.protocol.documents import SHORT_BYTES, parse_request
from service.protocol.fields import parse_json
from tests.service.wire import JSON_DATATYPES, LITTLE_ENDIAN, arrays_of

Json = Any

LONG_ID = "i" * SHORT_BYTES
NUMBERS = list(range(SHORT_BYTES))


def text_of(data: str, *, datatype: str = "FP32", shape: str = "[1]", request_id: str = "") -> bytes:
    """A request with one input whose data is written as given; a long id makes it one that is read in place."""
    fields = f'"name": "x", "datatype": "{datatype}", "shape": {shape}, "data": {data}'
    return f'{{"inputs": [{{{fields}}}], "id": "{request_id}"}}'.encode()


def outcome_of(text: bytes) -> tuple[object, ...]:
    """What a request says of its inputs, bit by bit, or how it is refused."""
    try:
        request = decode_request(text)
    except InvalidRequest as refusal:
        return (str(refusal),)
    arrays = [tensor.array for tensor in request.inputs]
    values = [array.tolist() if array.dtype.hasobject else array.tobytes() for array in arrays]
    return (*((array.dtype, array.shape) for array in arrays), values)


EDGES = [0, 1, -1, 255, 256, -129, 2**31, 2**32, 2**53 + 1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400]
values = (
    st.sampled_from(EDGES)
    | st.integers(-300, 70_000)
    | st.floats()
    | st.floats(width=32)
    | st.sampled_from([1e39, -1e39, 3.4028235e38, 3.4028236e38, 1e-46, 5e-324, -0.0])
)
strangers: st.SearchStrategy[Json] = st.none() | st.booleans() | st.text(max_size=3) | st.just({}) | st.just({"a": [1]})
ragged = st.recursive(
    st.lists(values | strangers, max_size=3), lambda inner: st.lists(inner | values, max_size=4), max_leaves=12
)


@st.composite
def regular(draw: st.DrawFn) -> Json:
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    of_one_kind = draw(
        st.sampled_from([values, st.sampled_from(EDGES), st.integers(0, 100), st.booleans(), st.text(max_size=3)])
    )
    flat: Json = draw(st.lists(of_one_kind, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


def leaves(data: Json) -> int:
    return sum(map(leaves, data)) if isinstance(data, list) else 1


@st.composite
def written(draw: st.DrawFn) -> str:
    data = draw(regular() | ragged | strangers)
    return json.dumps(data, indent=draw(st.sampled_from([None, 1])))


@settings(max_examples=500)
@given(written(), st.sampled_from([*sorted(LITTLE_ENDIAN), "FP8"]), st.integers(-1, 1))
@example("[256]", "UINT8", 0)
@example("[-129]", "INT8", 0)
@example("[-1]", "UINT64", 0)
@example("[1e39]", "FP32", 0)
@example("[true]", "BOOL", 0)
@example("[[1, 2], [3], [4, 5, 6]]", "FP32", 0)
@example("[[1, 2], [3, [4]]]", "FP32", 0)
@example("[1, [2]]", "FP32", 0)
@example("[[[1]], [[2]], [3]]", "INT8", 0)
@example("[[], [1]]", "FP32", 0)
@example("[[1], []]", "FP32", 0)
@example("[[[]], []]", "FP32", 0)
@example("[" * 40 + "1" + "]" * 40, "FP32", 0)
@example("[" * 97 + "1" + "]" * 97, "FP32", 0)
@example("[" * 98 + "1" + "]" * 98, "FP32", 0)
def test_what_is_read_in_place_is_what_is_read_value_by_value(data: str, datatype: str, missing: int) -> None:
    count = leaves(json.loads(data)) + missing
    shape = f"[{max(count, 0)}]"

    in_place = outcome_of(text_of(data, datatype=datatype, shape=shape, request_id=LONG_ID))

    assert in_place == outcome_of(text_of(data, datatype=datatype, shape=shape))


LITERALS = [
    *("0", "-0", "0.0", "-0.0", "1e5", "1E+5", "1e-5", "0.1e1", "1e-400", "1e400", "-1e400", "18446744073709551615.0"),
    *("01", "1.", ".5", "+1", "-", "1e", "0x1", "1_0", "NaN", "Infinity", "-Infinity", "nan", "null", "true", "True"),
    *("123456789012345678901234567890", "123456789012345678901234567890.0", "-9223372036854775809"),
    *("9007199254740993.0", "2.2250738585072011e-308", "3.4028235677973366e38", "3.4028235677973365e38"),
    *('"1"', '"\\ud800"', "'1'", "[]", "{}"),
]


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "UINT64", "FP32", "FP64", "BYTES"])
def test_every_spelling_of_a_number_is_read_in_place_as_elsewhere(literal: str, datatype: str) -> None:
    data = f"[{literal}]"

    in_place = outcome_of(text_of(data, datatype=datatype, request_id=LONG_ID))

    assert in_place == outcome_of(text_of(data, datatype=datatype))


@pytest.mark.parametrize(
    "template",
    [
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "shape": [2], "data": [1, 2]}], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1, 2], "data": [3]}], "id": "ID"}',
        '{"inputs": [], "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "id": "ID"}',
        '{"inputs": [{"name": "x[0]", "datatype": "FP32", "shape": [2], "data": [1, [2]]}], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "a": [[{}]]}], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}, 1], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [[1]], "data": [1]}], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": 1, "data": {"a": [1]}}], "id": "ID"}',
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [], "data": null}], "id": "ID"}',
        '{"inputs": [{"n\\u0061me": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "id": "ID"}',
        '{"inputs": [{"name\\u0000": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "id": "ID"}',
        '{"inputs": [{"name": "\u20ac", "datatype": "FP32", "shape": [1], "data": [1]}], "id": "ID"}',
        '{"inputs": [{"name": "\\ud800", "datatype": "FP32", "shape": [1], "data": [1]}], "id": "ID"}',
        '{"inputs": {"name": "x"}, "id": "ID"}',
        '{"inputs": null, "id": "ID"}',
        '{"id": "ID"}',
        '{"inputs": [], "parameters": {"triton_a": 1}, "id": "ID"}',
        '{"inputs": [], "parameters": [1], "outputs": [[1]], "id": "ID"}',
        '{"inputs": [], "a": ' + "[" * 99 + "]" * 99 + ', "id": "ID"}',
        '{"inputs": [], "a": ' + "[" * 100 + "]" * 100 + ', "id": "ID"}',
        '["ID"]',
        '"ID"',
        '{"inputs": [], "id": "ID"} x',
        '{"inputs": [, "id": "ID"}',
        '\ufeff{"id": "ID", "inputs": []}',
    ],
)
def test_every_form_of_a_request_is_read_in_place_as_elsewhere(template: str) -> None:
    long, short = (template.replace("ID", request_id).encode() for request_id in (LONG_ID, ""))

    in_place = outcome_of(long)

    assert expectations(in_place) == expectations(outcome_of(short))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9), st.binary(max_size=9)), min_size=1, max_size=3))
def test_a_damaged_request_is_read_in_place_as_elsewhere(cuts: list[tuple[int, int, bytes]]) -> None:
    text = text_of("[[1, 2.5], [3e1, -4]]", shape="[2, 2]")
    for start, length, instead in cuts:
        text = text[:start] + instead + text[start + length :]
    padding = b" " * SHORT_BYTES

    in_place = outcome_of(text + padding)

    assert expectations(in_place) == expectations(outcome_of(text))


def expectations(outcome: tuple[object, ...]) -> list[str]:
    """An outcome without what a refusal quotes of the text, and where the text stopped being one."""
    return [str(part).split(", got ")[0] for part in outcome]


@pytest.mark.parametrize("data", [NUMBERS, [NUMBERS, NUMBERS], [[[number] for number in NUMBERS]], [[True]] * 400])
def test_regular_lists_stay_in_the_parsers_hands(data: Json) -> None:
    text = text_of(json.dumps(data))

    document = parse_request(text)

    assert isinstance(document["inputs"][0]["data"], simdjson.Array)
    assert document["inputs"][0]["data"].as_list() == data


@pytest.mark.parametrize("data", [[NUMBERS, NUMBERS[1:]], [1, NUMBERS], [NUMBERS, [NUMBERS]], [[1, 2], [3], NUMBERS]])
def test_irregular_lists_are_pythons_own(data: Json) -> None:
    text = text_of(json.dumps(data))

    document = parse_request(text)

    assert document == parse_json(text)


def test_a_short_text_is_pythons_own() -> None:
    text = text_of("[1, 2]")

    document = parse_request(text)

    assert document == parse_json(text)


def test_fields_that_nobody_reads_may_be_missing() -> None:
    fields = {"id": "7", "parameters": {"a": 1, "b": "c"}, "outputs": [{"name": "y", "parameters": {}}, {"name": "z"}]}
    text = json.dumps({**fields, "extra": LONG_ID, "inputs": [{"name": "x", "more": 1}]}).encode()

    document = parse_request(text)

    assert document == {**fields, "inputs": [{"name": "x"}]}


@given(st.data())
def test_any_array_of_any_size_is_read_in_place(data: st.DataObject) -> None:
    datatype: Datatype = data.draw(st.sampled_from(JSON_DATATYPES))
    few = data.draw(arrays_of(datatype, st.just((4,))))
    many = np.tile(few, 300).reshape(3, 4, 100)
    listed = [[[_text(value) for value in row] for row in plane] for plane in many.tolist()]
    listed = data.draw(st.sampled_from([listed, [value for plane in listed for row in plane for value in row]]))

    request = decode_request(text_of(json.dumps(listed), datatype=datatype, shape="[3, 4, 100]"))

    np.testing.assert_array_equal(request.inputs[0].array, many, strict=True)


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def test_requests_are_read_in_several_threads_at_once() -> None:
    texts = [text_of(json.dumps([index] * 2_000), shape="[2000]") for index in range(4)]
    sums: dict[int, set[float]] = {index: set() for index in range(4)}

    def read(index: int) -> None:
        for _ in range(50):
            sums[index].add(float(decode_request(texts[index]).inputs[0].array.sum()))

    threads = [threading.Thread(target=read, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sums == {index: {index * 2_000.0} for index in range(4)}


def test_a_document_that_is_still_held_stays_as_it_is() -> None:
    texts = [text_of(json.dumps([value] * 2_000), shape="[2000]") for value in (1, 2, 3)]

    documents = [parse_request(text) for text in texts]

    assert [document["inputs"][0]["data"].as_list() for document in documents] == [[v] * 2_000 for v in (1, 2, 3)]


@pytest.mark.parametrize("count", [2_000, 1_500_000])
def test_texts_of_any_length_stay_in_the_parsers_hands(count: int) -> None:
    text = text_of(f"[{'12,' * (count - 1)}12]", shape=f"[{count}]")

    document = parse_request(text)

    assert isinstance(document["inputs"][0]["data"], simdjson.Array)
    assert len(document["inputs"][0]["data"]) == count


def test_an_array_outlives_the_text_it_came_from() -> None:
    arrays = []

    for value in (1, 2):
        text = text_of(json.dumps([value] * 2_000), datatype="FP64", shape="[2000]")
        arrays.append(decode_request(text).inputs[0].array)
        del text

    assert [set(array.tolist()) for array in arrays] == [{1.0}, {2.0}]


def test_numbers_never_become_objects_of_their_own() -> None:
    text = text_of(json.dumps([0.5] * 200_000), shape="[200000]")
    tracemalloc.start()

    decode_request(text)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 8 bytes for each in the parser's buffer, 4 in the array; as objects they would take 32 more
    assert peak < 200_000 * 16
