"""This module tests the load generator against servers of a few lines, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from benchmarks.serving.connection import AnswerError
from benchmarks.serving.load import Load, Outcome, apply

SECONDS = 0.2
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


class Server(asyncio.Protocol):
    """Gives every request the same answer, on each connection after a delay; an empty answer ends the connection."""

    def __init__(self, answer: bytes, delay_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer = answer
        self._delay_s = delay_s
        self.ended = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer after the delay; requests are small enough to come whole."""
        del data
        self._loop.call_later(self._delay_s, self._give)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it has ended."""
        del exc
        self.ended.set_result(None)

    def _give(self) -> None:
        if self._answer:
            self._transport.write(self._answer)
        else:
            self._transport.close()


def outcome_of(
    answer: bytes, request: Path, *, connections: int = 4, rate: float | None = None, delay_s: float = 0.001
) -> Outcome:
    """What the generator says of a server that gives one answer."""

    async def run() -> Outcome:
        served: list[Server] = []

        def serve() -> Server:
            served.append(Server(answer, delay_s))
            return served[-1]

        server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
        load = Load(
            port=server.sockets[0].getsockname()[1],
            requests=(request,),
            connections=connections,
            seconds=SECONDS,
            settle_s=0.02,
            rate=rate,
        )
        async with server:
            try:
                return await apply(load)
            finally:
                await asyncio.gather(*(connection.ended for connection in served))

    return asyncio.run(run())


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request"
    path.write_bytes(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    return path


def test_a_closed_load_counts_answers(request_file: Path) -> None:
    outcome = outcome_of(ANSWER, request_file)

    assert outcome.errors == 0
    assert outcome.answers == round(outcome.requests_per_s * SECONDS)
    assert 0 < outcome.p50_ms <= outcome.p99_ms


def test_an_open_load_asks_at_its_rate(request_file: Path) -> None:
    outcome = outcome_of(ANSWER, request_file, rate=200)

    assert outcome.errors == 0
    assert outcome.answers == pytest.approx(200 * SECONDS, abs=1)


def test_an_open_load_counts_the_wait_for_a_connection(request_file: Path) -> None:
    # one connection answers 50 a second and 100 are due: after 0.1 s the next one has waited for as long
    late = outcome_of(ANSWER, request_file, delay_s=0.02, connections=1, rate=100)
    closed = outcome_of(ANSWER, request_file, delay_s=0.02, connections=1)

    assert late.errors == 0
    assert late.answers == pytest.approx(100 * SECONDS, abs=1)
    assert late.p50_ms > 1.5 * closed.p50_ms


@pytest.mark.parametrize("rate", [None, 100.0])
def test_refusals_are_errors(request_file: Path, rate: float | None) -> None:
    with pytest.raises(AnswerError, match=r"expected answers within 0.2 s, got none, and [1-9][0-9]* errors"):
        outcome_of(REFUSAL, request_file, rate=rate)


@pytest.mark.parametrize("rate", [None, 100.0])
def test_lost_connections_are_errors(request_file: Path, rate: float | None) -> None:
    with pytest.raises(AnswerError, match=r"got none, and [1-9][0-9]* errors"):
        outcome_of(b"", request_file, rate=rate)
