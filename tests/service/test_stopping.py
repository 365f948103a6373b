"""How the service ends, as one process and as several: over a real socket, with real signals."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.store import Store
from tests.service.running import DEADLINE_S, Server, over_socket
from tests.service.wire import Sent, body_of, read_answer

BODY, _ = body_of([Sent("x", "FP32", np.ones((2, 4), np.float32))])
INFER = "/v2/models/tiny/infer"
HEAD = (
    f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
).encode()

alone_and_together = pytest.mark.parametrize("workers", ["1", "2"])


def test_a_signal_ends_it_well(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(DEADLINE_S)

    assert "Traceback" not in server.log.read_text()
    assert code == 0


@alone_and_together
def test_a_signal_while_it_is_starting_ends_it_well(tiny: Store, tmp_path: Path, workers: str) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--workers", workers) as server:
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(DEADLINE_S)

    assert "Traceback" not in server.log.read_text()
    assert code == 0


@alone_and_together
def test_a_request_under_way_is_answered_before_it_ends(tiny: Store, tmp_path: Path, workers: str) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--workers", workers) as server:
        server.wait_until_ready()
        with connect(server) as connection, connection.makefile("rb") as answer:
            connection.sendall(HEAD)
            invitation = answer.readline() + answer.readline()  # the endpoint waits for the body now

            server.process.send_signal(signal.SIGTERM)
            wait_until_refused(server)
            connection.sendall(BODY)
            status = answer.readline()
            headers = dict(line.decode().strip().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
            content = answer.read(int(headers["content-length"]))
        code = server.process.wait(DEADLINE_S)

    assert (invitation, status) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
    assert read_answer(content, None)[1]["logits"].shape == (2, 2)
    assert code == 0


@alone_and_together
def test_a_request_that_never_comes_to_its_end_is_waited_for_only_so_long(
    tiny: Store, tmp_path: Path, workers: str
) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--workers", workers, "--shutdown-timeout-s", "1") as server:
        server.wait_until_ready()
        with connect(server) as connection:
            connection.sendall(HEAD)
            connection.recv(100)

            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(DEADLINE_S)

    assert code == 0


@alone_and_together
def test_until_the_delay_is_over_it_is_not_ready_but_answers(tiny: Store, tmp_path: Path, workers: str) -> None:
    flags = ["--workers", workers, "--shutdown-delay-s", str(2 * DEADLINE_S)]
    with (
        over_socket(tiny.root, tmp_path / "log", *flags) as server,
        httpx.Client(base_url=server.url) as old,
        httpx.Client(base_url=server.url) as new,
    ):
        server.wait_until_ready()
        old.get("/v2/health/live")

        server.process.send_signal(signal.SIGTERM)
        reason = wait_until_not_ready(server)
        answers = [client.post(INFER, content=BODY) for client in (old, new) for _ in range(2)]
        live, of_model, of_unknown = (
            new.get(path).status_code
            for path in ("/v2/health/live", "/v2/models/tiny/ready", "/v2/models/unknown/ready")
        )
        running = server.process.poll() is None
        server.process.kill()

    assert reason == "the server is stopping"
    assert [answer.status_code for answer in answers] == [200] * 4
    assert (live, of_model, of_unknown) == (200, 503, 503)
    assert running


@alone_and_together
def test_when_the_delay_is_over_it_ends(tiny: Store, tmp_path: Path, workers: str) -> None:
    delay_s = 1.0
    with over_socket(tiny.root, tmp_path / "log", "--workers", workers, "--shutdown-delay-s", str(delay_s)) as server:
        server.wait_until_ready()

        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(DEADLINE_S)
        seconds = time.monotonic() - started

    assert code == 0
    assert seconds >= delay_s


@alone_and_together
def test_at_the_keyboard_there_is_no_delay(tiny: Store, tmp_path: Path, workers: str) -> None:
    flags = ["--workers", workers, "--shutdown-delay-s", str(2 * DEADLINE_S)]
    with over_socket(tiny.root, tmp_path / "log", *flags) as server:
        server.wait_until_ready()

        server.process.send_signal(signal.SIGINT)
        code = server.process.wait(DEADLINE_S)

    assert "Traceback" not in server.log.read_text()
    assert code == 0


@alone_and_together
@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tiny: Store, tmp_path: Path, again: signal.Signals, workers: str) -> None:
    flags = ["--workers", workers, "--shutdown-delay-s", str(2 * DEADLINE_S)]
    with over_socket(tiny.root, tmp_path / "log", *flags) as server, connect(server) as connection:
        server.wait_until_ready()
        connection.sendall(HEAD)  # somebody is still waiting

        server.process.send_signal(signal.SIGTERM)
        wait_until_not_ready(server)
        code = insist(server, again)

    assert code == 0


def connect(server: Server) -> socket.socket:
    host, port = server.address.split(":")
    return socket.create_connection((host, int(port)), DEADLINE_S)


def insist(server: Server, number: signal.Signals) -> int:
    """Send a signal until the process is gone; those that come together with the first count as one."""
    for _ in range(20):
        server.process.send_signal(number)
        try:
            return server.process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the process goes on")


def wait_until_not_ready(server: Server) -> str:
    """Ask every process until none is ready: each connection may be another one's; the reason of the last."""
    reason = ""
    refusals = 0
    with httpx.Client(base_url=server.url, headers={"Connection": "close"}) as client:
        for _ in range(10_000):
            answer = client.get("/v2/health/ready")
            refusals = refusals + 1 if answer.status_code == 503 else 0
            if refusals == 20:
                reason = answer.json()["error"]
                break
    return reason


def wait_until_refused(server: Server) -> None:
    """Knock until nobody opens: from then on the process is ending."""
    for _ in range(100_000):
        try:
            connect(server).close()
        except ConnectionError:
            return
    raise AssertionError("the process goes on listening")
