import contextvars
import io
import json
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.logs import (
    Answered,
    JsonFormatter,
    TextFormatter,
    accept_request_id,
    log_request,
    new_request_id,
    request_id,
)

TIME = 1_800_000_000.25  # 2027-01-15, 08:00 in UTC


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("service.test").makeRecord(
        "service.test", logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )
    made.created, made.msecs = TIME, 250.0
    return made


def failed() -> logging.LogRecord:
    made = record("it failed")
    try:
        raise ValueError("expected 1\ngot 2")  # noqa: TRY301
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def under(identity: str, formatter: logging.Formatter, made: logging.LogRecord) -> str:
    """A line that is logged while that request is answered."""
    context = contextvars.copy_context()
    context.run(request_id.set, identity)
    return context.run(formatter.format, made)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged by the service, as JSON."""
    stream = io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("service")
    handler.setFormatter(JsonFormatter())
    before = logger.level
    logger.setLevel("INFO")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_line_for_people_has_time_level_logger_and_message() -> None:
    formatter = TextFormatter()

    line = formatter.format(record("model %s is ready", "digits"))

    assert line == "2027-01-15T08:00:00.250Z WARNING service.test: model digits is ready"


def test_a_line_for_people_ends_with_what_else_is_known() -> None:
    formatter = TextFormatter()

    line = under("abc-1", formatter, record("done", rows=3, reason='a "reason"', color_message="\x1b[31mdone"))

    assert line.endswith(' service.test: done rows=3 reason="a \\"reason\\"" request_id=abc-1')


def test_a_traceback_for_people_follows_its_line() -> None:
    formatter = TextFormatter()

    first, second, *_, last = formatter.format(failed()).splitlines()

    assert first.endswith("service.test: it failed")
    assert (second, last) == ("Traceback (most recent call last):", "got 2")


@given(message=st.text(), value=st.text())
@example("\n2027-01-15T08:00:00.250Z ERROR service.test: not true", "\r\n")
def test_what_clients_send_never_looks_like_a_line_of_its_own(message: str, value: str) -> None:
    formatter = TextFormatter()

    line = formatter.format(record("%s", message, value=value))

    assert not {character for character in line if ord(character) < 32}


def test_a_json_line_has_the_same_and_the_id_of_the_request() -> None:
    formatter = JsonFormatter()

    line = under("abc-1", formatter, record("model %s is ready", "digits", rows=3, color_message="red"))

    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "WARNING",
        "logger": "service.test",
        "message": "model digits is ready",
        "rows": 3,
        "request_id": "abc-1",
    }


def test_a_json_line_outside_of_a_request_has_no_id() -> None:
    formatter = JsonFormatter()

    line = formatter.format(record("started"))

    assert "request_id" not in json.loads(line)


def test_a_traceback_is_a_string_in_its_json_line() -> None:
    formatter = JsonFormatter()

    line = formatter.format(failed())

    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: expected 1\ngot 2")


def test_an_extra_field_does_not_hide_a_standard_one() -> None:
    formatter = JsonFormatter()

    line = formatter.format(record("started", time="noon", level="none", exception="none"))

    assert json.loads(line)["time"] == "2027-01-15T08:00:00.250Z"
    assert json.loads(line)["level"] == "WARNING"


@given(message=st.text(), value=st.one_of(st.text(), st.binary(), st.integers(), st.lists(st.text())))
def test_any_message_and_field_is_one_json_line(message: str, value: object) -> None:
    formatter = JsonFormatter()

    line = formatter.format(record("%s", message, value=value))

    assert "\n" not in line
    assert json.loads(line)["message"] == message


@pytest.mark.parametrize("header", [b"a", b"7f3c-12", b"!~", b"x" * 128])
def test_a_client_may_name_its_request(header: bytes) -> None:
    expected = header.decode()

    accepted = accept_request_id(header)

    assert accepted == expected


@pytest.mark.parametrize("header", [b"", b"a b", b"a\n", b"\xc3\xa4", b"\x7f", b"x" * 129])
def test_a_name_that_could_harm_a_log_is_not_taken_over(header: bytes) -> None:
    formatted = header

    accepted = accept_request_id(formatted)

    assert accepted is None


def test_new_ids_are_accepted_and_never_the_same() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_request_id(), range(1000)))

    assert len(set(made)) == 1000
    assert [accept_request_id(identity.encode()) for identity in made] == made


def test_an_inference_request_is_one_line_of_fields(lines: io.StringIO) -> None:
    expected = {"model": "digits", "version": "2", "status": 200, "rows": 3, "seconds": 0.001235, "queue_seconds": 0.0}

    log_request(Answered("digits", "2", status=200, rows=3, seconds=0.00123456, queue_seconds=0.0))

    line = json.loads(lines.getvalue())
    assert (line["logger"], line["level"], line["message"]) == ("service.access", "INFO", "inference")
    assert {key: line[key] for key in expected} == expected
    assert "reason" not in line


def test_one_that_was_refused_says_why(lines: io.StringIO) -> None:
    refused = Answered("digits", "", status=404, rows=0, seconds=0.0, queue_seconds=0.0, reason="there is none")

    log_request(refused)

    assert json.loads(lines.getvalue())["reason"] == "there is none"
