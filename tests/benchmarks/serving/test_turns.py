"""This module tests loads that are applied in turns, against servers of a few lines, over real sockets."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from benchmarks.serving.load import Load, Outcome
from benchmarks.serving.turns import apply_in_turn
from tests.benchmarks.serving.test_load import ANSWER, REFUSAL, Server

ROUNDS = 3
CONNECTIONS = 2


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A request; what is in it the servers do not look at."""
    path = tmp_path / "request"
    path.write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    return path


def outcomes_of(request: Path, *servers: tuple[bytes, float]) -> tuple[list[list[Outcome]], int]:
    """What is said of servers that each give one answer after a delay, and how many connections they had in all."""

    async def run() -> tuple[list[list[Outcome]], int]:
        connected: list[Server] = []

        def serve(answer: bytes, delay_s: float) -> Server:
            connected.append(Server(answer, delay_s))
            return connected[-1]

        listening, loads = [], []
        for answer, delay_s in servers:
            server = await asyncio.get_running_loop().create_server(partial(serve, answer, delay_s), "127.0.0.1", 0)
            listening.append(server)
            port = server.sockets[0].getsockname()[1]
            loads.append(Load(port=port, requests=(request,), connections=CONNECTIONS, seconds=0.1, settle_s=0.02))
        try:
            return await apply_in_turn(tuple(loads), ROUNDS), len(connected)
        finally:
            for server in listening:
                server.close()

    return asyncio.run(run())


def test_every_load_has_a_turn_in_every_round(request_file: Path) -> None:
    """Whoever is first in it, an outcome is that of its own load: here the second server is the slower one."""
    found, _ = outcomes_of(request_file, (ANSWER, 0.001), (ANSWER, 0.01))

    assert [len(outcomes) for outcomes in found] == [2] * ROUNDS
    assert all(quick.answers > 2 * slow.answers > 0 for quick, slow in found)
    assert {outcome.errors for outcomes in found for outcome in outcomes} == {0}


def test_turns_share_their_connections(request_file: Path) -> None:
    """So that a turn may be short."""
    _, connected = outcomes_of(request_file, (ANSWER, 0.001), (ANSWER, 0.001))

    assert connected == 2 * CONNECTIONS


def test_what_a_turn_counts_is_its_own(request_file: Path) -> None:
    """In a tenth of a second two connections get no more than this many answers that take a hundredth."""
    found, _ = outcomes_of(request_file, (ANSWER, 0.01))

    assert all(outcome.answers <= CONNECTIONS * 10 for (outcome,) in found)


def test_refusals_are_errors_of_their_server(request_file: Path) -> None:
    """A mix of refusals and answers can't be: a server has one answer here, so that nothing is left to count."""
    with pytest.raises(Exception, match=r"expected answers within 0\.1 s, got none"):
        outcomes_of(request_file, (REFUSAL, 0.001))
