import json
import signal
import socket
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from models.store import Store
from service.__main__ import main
from tests.drafts import draft
from tests.service.running import Server, command, over_socket


def test_help_names_every_setting_and_is_a_success() -> None:
    flags = [
        "--store",
        "--host",
        "--port",
        "--device",
        "--threads",
        "--refresh-interval-s",
        "--max-request-bytes",
        "--version",
    ]

    finished = command("--help")

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("usage: bnserve")
    assert [flag for flag in flags if flag not in finished.stdout] == []


def test_its_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--version"])

    written = capsys.readouterr()
    assert (code, written.err) == (0, "")
    assert written.out == f"bnserve {version('bnserve')}\n"


def test_an_unknown_flag_is_told_in_one_sentence_with_what_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    flag = "--prot"

    code = main([flag, "80"])

    written = capsys.readouterr()
    assert (code, written.out) == (2, "")
    assert written.err == "bnserve: expected a flag, got '--prot'; did you mean --port?\n"


def test_a_variable_that_is_no_setting_is_warned_about(tiny: Store, tmp_path: Path) -> None:
    variables = {"BNSERVE_WOKERS": "2", "BNSERVE_LOG_LEVEL": "warning"}

    with over_socket(tiny.root, tmp_path / "log", **variables):
        written = (tmp_path / "log").read_text()

    assert written.count("\n") == 1
    assert "BNSERVE_WOKERS: expected a variable of a setting, this is none; did you mean BNSERVE_WORKERS?" in written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "bnserve: port: Input should be less than or equal to 65535, got '99999'\n"),
        (["--port", "-1"], "bnserve: port: Input should be greater than or equal to 0, got '-1'\n"),
        (["--port", "http"], "bnserve: port: Input should be a valid integer, "),
        (["--threads", "-1"], "bnserve: threads: Input should be greater than or equal to 0, got '-1'\n"),
        (["--versions", "nonsense"], "bnserve: versions: Value error, expected all, latest:N or numbers of versions "),
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


def test_a_bad_variable_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BNSERVE_PORT", "http")

    code = main([])

    written = capsys.readouterr()
    assert (code, written.out) == (2, "")
    assert written.err.startswith("bnserve: port: Input should be a valid integer")
    assert written.err.count("\n") == 1


def test_a_device_that_is_not_there_is_told_in_one_sentence() -> None:
    variables = {"CUDA_VISIBLE_DEVICES": ""}

    finished = command("--device", "cuda", "--port", "0", **variables)

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
    assert "--port takes another one" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_host_that_is_not_there_is_told_in_one_sentence(tiny: Store) -> None:
    host = "no.such.host.invalid"

    finished = command("--host", host, "--port", "0", "--store", str(tiny.root))

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("bnserve: ")
    assert host in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_store_that_is_a_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"")

    finished = command("--store", str(file), "--port", "0")

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"bnserve: store: expected a folder, got a file: {file}\n"


@pytest.mark.parametrize(("there", "found"), [(True, "no model in it yet"), (False, "there is no such folder yet")])
def test_a_store_without_models_is_served_and_warned_about(tmp_path: Path, *, there: bool, found: str) -> None:
    """It may be filled later; but it is more often a folder that was misspelt."""
    folder = tmp_path / "modles"
    if there:
        folder.mkdir()

    with over_socket(folder, tmp_path / "log", "--log-level", "warning") as server:
        status = httpx.get(f"{server.url}/v2/health/live", timeout=60).status_code

    assert status == 200
    assert f": store {folder}: {found}; what is published there is served within seconds\n" in server.log.read_text()


@dataclass(frozen=True, slots=True)
class Run:
    """The command from its start to its end.

    Attributes:
        server: That was.
        printed: After the first line.
        statuses: Of what its addresses answered, in the order in which it prints them.
    """

    server: Server
    printed: str
    statuses: list[int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on version 1 of ``tiny``, with its log as it is by default, until a signal."""
    folder = tmp_path_factory.mktemp("run")
    store = Store(folder / "store")
    store.publish(draft())
    with over_socket(store.root, folder / "log") as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url) as client:
            paths = ("/docs", "/v2/models/tiny/normalization", "/metrics")
            statuses = [client.get(path).status_code for path in paths]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout is not None
        printed = server.process.stdout.read()
        server.process.wait(timeout=60)
    return Run(server, printed, statuses)


def test_it_prints_where_to_look_once_it_listens(run: Run) -> None:
    address, url = run.server.address, run.server.url

    assert address.startswith("127.0.0.1:")
    assert f"{url}/v2/models/tiny/normalization\n" in run.printed
    assert f"{url}/metrics\n" in run.printed


def test_what_it_prints_can_be_opened_from_then_on(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log") as server:
        status = httpx.get(f"{server.url}/v2/health/live", timeout=60).status_code

    assert status == 200


def test_all_that_it_prints_can_be_opened(run: Run) -> None:
    assert run.statuses == [200, 200, 200]


def test_its_log_is_one_line_an_event_in_utc(run: Run) -> None:
    lines = run.server.log.read_text().splitlines()

    assert any("service.inference.stored_model: model tiny version 1 is ready" in line for line in lines)
    assert all(line[:4].isdigit() and line[10] == "T" and line[23] == "Z" for line in lines)


def test_a_quiet_log_holds_no_more_than_it_was_asked_for(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--log-level", "warning") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=60)

    assert server.log.read_text() == ""


def test_as_json_its_log_is_one_object_a_line(tiny: Store, tmp_path: Path) -> None:
    with over_socket(tiny.root, tmp_path / "log", "--log-format", "json") as server:
        server.wait_until_ready()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=60)

    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert "model tiny version 1 is ready" in " ".join(line["message"] for line in lines)
    assert {"service.inference.stored_model", "uvicorn.error"} <= {line["logger"] for line in lines}
