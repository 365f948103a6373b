import signal
import socket
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.store import Store
from service.__main__ import main
from tests.service.running import command, over_socket
from tests.service.wire import Sent, body_of, read_answer

BODY, _ = body_of([Sent("x", "FP32", np.ones((2, 4), np.float32))])


def test_help_names_every_setting_and_is_a_success() -> None:
    flags = ["--store", "--host", "--port", "--device", "--threads", "--refresh-interval-s", "--max-request-bytes"]

    finished = command("--help")

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("usage: bnserve")
    assert [flag for flag in flags if flag not in finished.stdout] == []


def test_an_unknown_flag_is_not_understood() -> None:
    flag = "--prot"

    finished = command(flag, "80")

    assert (finished.returncode, finished.stdout) == (2, "")
    assert "bnserve: error: unrecognized arguments: --prot" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "bnserve: port: Input should be less than or equal to 65535, got '99999'\n"),
        (["--port", "-1"], "bnserve: port: Input should be greater than or equal to 0, got '-1'\n"),
        (["--port", "http"], "bnserve: port: Input should be a valid integer, "),
        (["--threads", "-1"], "bnserve: threads: Input should be greater than or equal to 0, got '-1'\n"),
        (["--log-level", "loud"], "bnserve: log_level: Input should be 'debug', 'info', 'warning' or 'error', got "),
    ],
)
def test_a_bad_value_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    expected = message

    code = main(arguments)

    written = capsys.readouterr()
    assert (code, written.out) == (2, "")
    assert written.err.startswith(expected)
    assert written.err.count("\n") == 1


def test_a_bad_variable_is_told_in_one_sentence() -> None:
    port = "http"

    finished = command(BNSERVE_PORT=port)

    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("bnserve: port: Input should be a valid integer")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "tpu"])
def test_a_device_that_is_not_there_is_told_in_one_sentence(device: str) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": ""}

    finished = command("--device", device, "--port", "0", **variables)

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("bnserve: device: expected ")
    assert finished.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_told_in_one_sentence(tiny: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        finished = command("--port", str(port), "--store", str(tiny.root))

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("bnserve: ")
    assert str(port) in finished.stderr
    assert "in use" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_host_that_is_not_there_is_told_in_one_sentence(tiny: Store) -> None:
    host = "no.such.host.invalid"

    finished = command("--host", host, "--port", "0", "--store", str(tiny.root))

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("bnserve: ")
    assert host in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_it_prints_where_to_look_once_it_listens(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout is not None
        others = server.process.stdout.read()

    assert server.address.startswith("127.0.0.1:")
    assert f"{server.url}/v2/models/tiny/normalization\n" in others
    assert f"{server.url}/metrics\n" in others


def test_what_it_prints_can_be_opened_from_then_on(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        status = httpx.get(f"{server.url}/v2/health/live", timeout=20).status_code

    assert status == 200


def test_all_that_it_prints_can_be_opened(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server, httpx.Client(base_url=server.url) as client:
        server.wait_until_ready()
        answers = [client.get(path) for path in ("/docs", "/v2/models/tiny/normalization", "/metrics")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(tiny: Store, tmp_path: Path, stop: signal.Signals) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready()
        server.process.send_signal(stop)
        code = server.process.wait(timeout=20)

    assert "Traceback" not in server.log.read_text()
    assert code == 0


def test_a_signal_while_it_is_starting_ends_it_well(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready("/v2/health/live")
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(timeout=20)

    assert "Traceback" not in server.log.read_text()
    assert code == 0


def test_a_request_under_way_is_answered_before_it_ends(tiny: Store, tmp_path: Path) -> None:
    head = (
        "POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready()
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection, connection.makefile("rb") as answer:
            connection.sendall(head.encode())
            invitation = answer.readline() + answer.readline()  # the endpoint waits for the body now

            server.process.send_signal(signal.SIGTERM)
            wait_until_refused(host, int(port))
            connection.sendall(BODY)
            status = answer.readline()
            headers = dict(line.decode().strip().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
            content = answer.read(int(headers["content-length"]))
        code = server.process.wait(timeout=20)

    assert (invitation, status) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
    assert read_answer(content, None)[1]["logits"].shape == (2, 2)
    assert code == 0


def wait_until_refused(host: str, port: int) -> None:
    """Knock until nobody opens: from then on the process is ending."""
    for _ in range(100_000):
        try:
            socket.create_connection((host, port), timeout=20).close()
        except ConnectionError:
            return
    raise AssertionError("the process goes on listening")


def test_its_log_is_one_line_an_event_in_utc(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=20)

    lines = server.log.read_text().splitlines()
    assert any("service.inference.registry: model tiny version 1 is ready" in line for line in lines)
    assert all(line[:4].isdigit() and line[10] == "T" and line[23] == "Z" for line in lines)


def test_a_quiet_log_holds_no_more_than_it_was_asked_for(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--log-level", "warning") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=20)

    assert server.log.read_text() == ""
