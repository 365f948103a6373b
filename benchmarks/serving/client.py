"""This module measures the load generator: what it can send and count where the server costs next to nothing.

    python -m benchmarks.serving.client PORT    serves one empty answer after the other

The generator and the server share the machine, so this is what a server could get at most.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.serving.contenders import environment, stop, wait_until_ready
from benchmarks.serving.load import Load
from benchmarks.serving.networks import ROOT
from benchmarks.serving.ports import free_port
from benchmarks.serving.rounds import Keep, apply

REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
CONTENDER = "load generator"
SETUP = "against a server that answers every packet with the same 38 bytes"


def client_case(connections: int) -> str:
    """The name of a closed load."""
    return f"client closed {connections}"


def measure(keep: Keep, loads: Sequence[int], *, rounds: int, seconds: float) -> None:
    """Load the empty server, by so many connections each."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.client", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)  # noqa: S603  this module
    try:
        wait_until_ready(process, port, "/")
        with tempfile.NamedTemporaryFile() as file:
            path = Path(file.name)
            path.write_bytes(REQUEST)
            for number in range(rounds):
                for connections in loads:
                    load = Load(
                        port=port, requests=(path,), connections=connections, seconds=seconds, settle_s=seconds / 4
                    )
                    outcome = apply(load, CONTENDER)
                    keep(client_case(connections), CONTENDER, SETUP, number, outcome.model_dump())
    finally:
        stop(process)


class _Empty(asyncio.Protocol):
    """Answers every packet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Empty, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
