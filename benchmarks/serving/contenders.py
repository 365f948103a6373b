"""This module starts, asks and stops the servers that are compared; one at a time, on this machine's loopback."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.serving.forms import HEADER_LENGTH, V2, Form, Message
from benchmarks.serving.networks import ROOT, Network
from benchmarks.serving.ports import free_port

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05
TOLERANCE = 1e-4
"""Largest error of an answer, relative to the largest value of the right one where that is above 1."""


class ContenderError(Exception):
    """A server that does not start, or that answers wrong."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, set up in one way.

    Attributes:
        name: In the tables.
        setup: What it is, in one line.
        command: Starts it with a network, on a port, with so many threads.
        forms: How it is asked, by encoding.
        ready_path: What answers a GET with 200 once it can be asked, with ``{model}`` for the network's name.
        environment: Variables that it gets beside this process's own.
        settle: Waits, on a port that is ready, until it does all that it will do.
    """

    name: str
    setup: str
    command: Callable[[Network, int, int], Sequence[str]]
    forms: Mapping[str, Form] = field(default_factory=lambda: V2)
    ready_path: str = "/v2/health/ready"
    environment: Mapping[str, str] = field(default_factory=dict)
    settle: Callable[[Network, int], None] = lambda _network, _port: None


def _floor(network: Network, port: int, threads: int) -> list[str]:
    flags = ["--name", network.name, "--port", str(port), "--threads", str(threads)]
    return [sys.executable, "-m", "benchmarks.serving.floor", str(network.model_path), *flags]


def _floor_in_thread(network: Network, port: int, threads: int) -> list[str]:
    return [*_floor(network, port, threads), "--in-thread"]


def _ours(network: Network, port: int, threads: int) -> list[str]:
    flags = ["--port", str(port), "--threads", str(threads), "--device", "cpu"]
    return [sys.executable, "-m", "service", "--store", str(network.store), *flags]


OURS = Contender("bnserve", "`python -m service --device cpu`, all other settings at their defaults", _ours)
FLOOR = Contender("floor", "a bare ASGI app that runs the network on the event loop", _floor)
FLOOR_IN_THREAD = Contender("floor, in a thread", "the same that runs it in a thread of its own", _floor_in_thread)


@contextlib.contextmanager
def serving(contender: Contender, network: Network, *, threads: int) -> Iterator[int]:
    """Run a server for as long as the block does, and give the port that it answers on.

    Raises:
        ContenderError: If it does not get ready, or an answer is wrong; the text has the end of what it wrote.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  contenders are part of the benchmark
            contender.command(network, port, threads),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment(), **contender.environment},
            start_new_session=True,  # so that its own children end with it
        )
        try:
            try:
                wait_until_ready(process, port, contender.ready_path.format(model=network.name))
                for form in contender.forms.values():
                    check_answers(port, form, network)
                contender.settle(network, port)
            except (ContenderError, OSError, http.client.HTTPException) as error:
                log.seek(0)
                written = log.read().decode(errors="replace").strip()
                raise ContenderError(f"{contender.name}: {error}\n{written[-4000:]}") from error
            yield port
        finally:
            stop(process)


def check_answers(port: int, form: Form, network: Network) -> None:
    """Ask for every row, with the bytes that will be sent under load.

    Raises:
        ContenderError: If an answer is not what the graph answers.
    """
    rows = network.rows()
    for row, right in zip(rows, network.answers(rows), strict=True):
        found = form.read(ask(port, form.request(network, row[np.newaxis]))).reshape(-1)
        error = np.abs(found - right).max() if found.shape == right.shape else np.inf
        if not error <= TOLERANCE * max(1.0, np.abs(right).max()) or found.argmax() != right.argmax():
            raise ContenderError(f"{form.path}: expected {right}, got {found}")


def ask(port: int, request: bytes) -> Message:
    """Send one request and read all of its answer.

    Raises:
        ContenderError: If the status is not 200.
        OSError: If nobody answers.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    if response.status != 200:
        raise ContenderError(f"expected status 200, got {response.status}: {body[:1000]!r}")
    length = response.getheader(HEADER_LENGTH)
    return Message(body, response.getheader("content-type", ""), None if length is None else int(length))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, and its children."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    """This process's own, without settings of the service and of traces, and with telemetry off.

    Bytecode is kept, as it is wherever a server is installed: compiling it anew is no part of starting.
    """
    left_out = ("BNSERVE_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | {"ORT_DISABLE_TELEMETRY": "1", "OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1"}


def wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Ask a path again and again until it is answered with 200.

    Raises:
        ContenderError: If that takes too long, or the process ends.
    """
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ContenderError):
            ask(port, request)
            return
        if process.poll() is not None:
            raise ContenderError(f"expected a server, it ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise ContenderError(f"expected it to be ready within {READY_WITHIN_S:g} s")
        time.sleep(LOOK_EVERY_S)
