"""This module runs the service for tests: in this process without a socket, or as the command over a real one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.app import create_app
from service.routes.dispatch import Dispatch
from service.settings import Settings

DEADLINE_S = 60
"""How long anything may take before a test gives up on it."""

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("BNSERVE_")}
"""Of a command: none of the settings that whoever runs the tests may have made."""


class Service:
    """An app that has been started and has loaded its store; errors of its routes are answers, as over a socket."""

    def __init__(self, app: Dispatch, runner: asyncio.Runner) -> None:
        self.app = app.framework
        self.runner = runner
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://service")

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401
        """Send one request and read all of its answer; the arguments are those of httpx."""
        return self.runner.run(self._client.request(method, path, **arguments))

    def at_once(self, requests: Sequence[Mapping[str, Any]]) -> list[httpx.Response]:
        """Send several requests at once; each has the arguments of httpx's ``request``."""

        async def send() -> list[httpx.Response]:
            return await asyncio.gather(*(self._client.request(**arguments) for arguments in requests))

        return self.runner.run(send())

    def get(self, path: str) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path)

    def post(self, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401
        """Send a POST."""
        return self.request("POST", path, **arguments)

    def refresh(self) -> None:
        """Look at the store now."""
        self.runner.run(self.app.state.registry.refresh())


@contextlib.contextmanager
def in_process(store: Path, *, shared: Path | None = None, **settings: Any) -> Iterator[Service]:  # noqa: ANN401
    """The service on the CPU with other settings at their defaults, started, and stopped when the block ends."""
    app = create_app(Settings(**{"store": store, "device": "cpu", "threads": 1, **settings}), shared)
    with asyncio.Runner() as runner:
        framework = app.framework
        lifespan = framework.router.lifespan_context(framework)
        runner.run(lifespan.__aenter__())
        try:
            runner.run(asyncio.wait_for(framework.state.registry.loaded.wait(), DEADLINE_S))
            yield Service(app, runner)
        finally:
            runner.run(lifespan.__aexit__(None, None, None))


@dataclass(frozen=True, slots=True)
class Server:
    """The command as a process of its own."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    @property
    def url(self) -> str:
        """Where it listens, ``http://127.0.0.1:port``."""
        return f"http://{self.address}"

    def wait_until_ready(self, path: str = "/v2/health/ready") -> None:
        """Ask again and again, as an orchestrator does."""
        deadline = time.monotonic() + DEADLINE_S
        with httpx.Client(base_url=self.url, timeout=DEADLINE_S) as client:
            while not _answers(client, path):
                assert time.monotonic() < deadline, self.log.read_text()


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.ConnectError:
        return False


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env=ENVIRONMENT | variables,
    )


@contextlib.contextmanager
def over_socket(store: Path, log: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """The command on a free port of this machine alone, killed when the block ends if it still runs.

    Args:
        store: What it serves.
        log: Where its stderr goes.
        arguments: Further flags.
        variables: Of its environment.
    """
    flags = ["--port", "0", "--store", str(store), "--device", "cpu", "--threads", "1", *arguments]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "service", *flags],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=ENVIRONMENT | variables,
        ) as process,
    ):
        try:
            first = _first_line(process)
            assert "http://" in first, log.read_text()
            yield Server(process, first.split("http://")[1].split("/")[0], log)
        finally:
            process.kill()


def _first_line(process: subprocess.Popen[str]) -> str:
    """What a process prints first; nothing if it does not do so in time."""
    assert process.stdout is not None
    guard = threading.Timer(DEADLINE_S, process.kill)
    guard.start()
    try:
        return process.stdout.readline()
    finally:
        guard.cancel()
