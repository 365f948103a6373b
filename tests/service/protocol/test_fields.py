import math

import pytest

from service.errors import InvalidRequest
from service.protocol.fields import (
    complaint,
    parse_json,
    read_count,
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
        (b"[" * 100_000, "request: expected JSON, got one that is nested too deeply"),
        (b'{"a":' * 100_000, "request: expected JSON, got one that is nested too deeply"),
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


def test_an_object_may_be_left_out() -> None:
    missing = None

    taken = read_object(missing, "parameters")

    assert taken == {}


@pytest.mark.parametrize("default", [True, False])
def test_a_flag_may_be_left_out(default: bool) -> None:
    missing = None

    taken = read_flag(missing, "ready", default=default)

    assert taken is default
