import json
import math

import pytest

from service.errors import InvalidRequest
from service.protocol.fields import (
    complaint,
    parse_json,
    read_count,
    read_counts,
    read_flag,
    read_list,
    read_object,
    read_string,
)


def test_a_complaint_names_the_field_what_was_expected_and_what_came() -> None:
    got = {"a": [1, None]}

    error = complaint("inputs[0].shape", "a list", got)

    assert str(error) == 'inputs[0].shape: expected a list, got {"a": [1, null]}'


@pytest.mark.parametrize("got", ["x" * 10_000, [1] * 10_000, {"x" * 100: 1}])
def test_a_complaint_cuts_what_is_long(got: object) -> None:
    longest = len("id: expected a string, got ") + 60 + len("...")

    error = complaint("id", "a string", got)

    assert len(str(error)) == longest
    assert str(error).endswith("...")


def test_bare_literals_are_numbers() -> None:
    text = b'{"a": [NaN, Infinity, -Infinity]}'

    document = parse_json(text)

    assert math.isnan(document["a"][0])
    assert document["a"][1:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "request: expected JSON, got something else at line 1 column 1"),
        (b'{"a":\n1,}', "request: expected JSON, got something else at line 2 column "),
        (b"{'a': 1}", "request: expected JSON, got something else at line 1 column 2"),
        (b'"\xff"', "request: expected JSON in UTF-8, got invalid start byte at byte 1"),
        (b"nan", "request: expected JSON, got something else at line 1 column 1"),
        (b"[" * 100_000, "request: expected JSON that is nested at most 100 times, got a deeper one"),
        (b'{"a":' * 100_000, "request: expected JSON that is nested at most 100 times, got a deeper one"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: bytes, message: str) -> None:
    expected = message

    with pytest.raises(InvalidRequest) as refusal:
        parse_json(text)

    assert str(refusal.value).startswith(expected)


def test_a_field_that_is_there_is_taken() -> None:
    document = parse_json(b'{"object": {"a": 1}, "list": [1], "string": "s", "flag": true, "count": 0}')

    taken = (
        read_object(document["object"], "object"),
        read_list(document["list"], "list"),
        read_string(document["string"], "string"),
        read_flag(document["flag"], "flag", default=False),
        read_count(document["count"], "count"),
    )

    assert taken == ({"a": 1}, [1], "s", True, 0)


@pytest.mark.parametrize(("text", "levels"), [(b"%s", 0), (b'{"a": %s}', 1), (b'[{"a": "]]]]"}, {"b": %s}]', 2)])
def test_json_may_be_nested_a_hundred_times_and_no_more(text: bytes, levels: int) -> None:
    deepest, deeper = (text % (b"[" * (depth - levels) + b"]" * (depth - levels)) for depth in (100, 101))

    document = parse_json(deepest)
    with pytest.raises(InvalidRequest) as refusal:
        parse_json(deeper)

    assert json.dumps(document).encode() == deepest
    assert str(refusal.value) == "request: expected JSON that is nested at most 100 times, got a deeper one"


def test_json_may_hold_any_number_of_lists_beside_one_another() -> None:
    text = b"[" + b",".join([b'[{"a": [1]}]'] * 1000) + b"]"

    document = parse_json(text)

    assert document == [[{"a": [1]}]] * 1000


@pytest.mark.parametrize("count", [0, 1, 2**64 - 1])
def test_a_count_is_a_whole_number_of_64_bits(count: int) -> None:
    counts = [count, 0]

    taken = read_counts(counts, "shape")

    assert taken == counts


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (-1, "shape[1]: expected a whole number, 0 or more, got -1"),
        (1.0, "shape[1]: expected a whole number, 0 or more, got 1.0"),
        (True, "shape[1]: expected a whole number, 0 or more, got true"),
        (None, "shape[1]: expected a whole number, 0 or more, got null"),
        (2**64, "shape[1]: expected a whole number, at most 18446744073709551615, got 18446744073709551616"),
    ],
)
def test_what_is_no_count_is_named_by_its_place(count: object, message: str) -> None:
    counts = [0, count]

    with pytest.raises(InvalidRequest) as refusal:
        read_counts(counts, "shape")

    assert str(refusal.value) == message


@pytest.mark.parametrize("default", [0, 5])
def test_a_count_may_be_left_out(default: int) -> None:
    missing = None

    taken = read_count(missing, "priority", default=default)

    assert taken == default


def test_an_object_may_be_left_out() -> None:
    missing = None

    taken = read_object(missing, "parameters")

    assert taken == {}


@pytest.mark.parametrize("default", [True, False])
def test_a_flag_may_be_left_out(default: bool) -> None:
    missing = None

    taken = read_flag(missing, "ready", default=default)

    assert taken is default
