from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.connection import AnswerError, Connection, content_length

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 6\r\n\r\nanswer"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written.append(bytes(data))


class Told:
    """A connection over a wire, and what it tells."""

    def __init__(self) -> None:
        self.answers: list[bool] = []
        self.wire = Wire()
        self.connection = Connection(self._answered, lambda _: None)
        self.connection.connection_made(cast(asyncio.BaseTransport, self.wire))

    def _answered(self, _connection: Connection, success: bool) -> None:
        self.answers.append(success)


@given(cuts=st.lists(st.integers(0, len(ANSWER)), max_size=5))
def test_an_answer_is_told_once_however_it_is_cut(cuts: list[int]) -> None:
    told = Told()
    told.connection.send(b"request", due=0.0)

    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(ANSWER)], strict=True):
        told.connection.data_received(ANSWER[start:end])

    assert told.answers == [True]
    assert not told.connection.busy


def test_another_status_is_no_success() -> None:
    told = Told()

    told.connection.data_received(REFUSAL)

    assert told.answers == [False]


def test_a_request_goes_out_as_it_is() -> None:
    told = Told()

    told.connection.send(b"POST / HTTP/1.1\r\n\r\n", due=1.5)

    assert told.wire.written == [b"POST / HTTP/1.1\r\n\r\n"]
    assert told.connection.busy
    assert told.connection.due == 1.5


def test_bytes_behind_an_answer_are_an_error() -> None:
    told = Told()

    with pytest.raises(AnswerError, match="got 4 bytes more"):
        told.connection.data_received(ANSWER + b"more")


def test_a_head_without_a_length_is_an_error() -> None:
    with pytest.raises(AnswerError, match="expected a content length"):
        content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked")
