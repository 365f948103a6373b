"""A database that goes away is no request's concern, and nothing that was seen meanwhile is missing afterwards."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from benchmarks.history.postgres import PostgresServer, find_binaries, running_postgres
from models.store import Store
from service.__main__ import main
from tests.service.observing import normal_rows, until
from tests.service.running import DEADLINE_S, Server, over_socket

WINDOW_ROWS = 32
DEADLINE_MS = 4000
"""Of every request; a database that is asked for a window has five seconds for that."""

FLAGS = [
    *("--observe-share", "1", "--window-rows", str(WINDOW_ROWS)),
    *("--request-timeout-ms", str(DEADLINE_MS)),
]
REPORT = "/v2/models/tiny/normalization"
TENSOR = {"name": "x", "datatype": "FP32", "shape": [8, 4], "data": normal_rows(8).tolist()}


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A real server of its own, since it is killed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(binaries, fsync=False) as server:
        yield server


def variables(url: URL) -> dict[str, str]:
    return {"BNSERVE_HISTORY_URL": url.render_as_string(hide_password=False)}


def until_observed(server: Server) -> None:
    until(lambda: httpx.get(server.url + REPORT).json()["observation"]["reason"] is None)


def until_logged(server: Server, sentence: str) -> None:
    until(lambda: sentence in server.log.read_text())


class Traffic:
    """A client that asks again and again, and remembers how it was answered.

    Attributes:
        statuses: Of all answers.
        slowest_s: The longest that one took.
        rows: How many were sent.
    """

    def __init__(self, server: Server) -> None:
        self.statuses: set[int] = set()
        self.slowest_s = 0.0
        self.rows = 0
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()

    def go_on(self, rows: int) -> None:
        """Wait until so many more rows were answered."""
        wanted = self.rows + rows
        until(lambda: self.rows >= wanted)

    def _run(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=DEADLINE_S) as client:
            while not self._ending.wait(0.01):
                started = time.monotonic()
                answer = client.post("/v2/models/tiny/infer", json={"inputs": [TENSOR]})
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                self.statuses.add(answer.status_code)
                self.rows += 8


def rows_in_the_history(server: Server) -> int:
    """Rows of all windows that are stored; -1 where the database is away."""
    response = httpx.get(f"{server.url}{REPORT}/history", params={"resolution": "day"}, timeout=DEADLINE_S)
    if response.status_code == 503:
        return -1
    return sum(period["rows"] for period in response.raise_for_status().json()["periods"])


def until_rows_are_stored(server: Server, rows: int) -> None:
    until(lambda: rows_in_the_history(server) >= rows)
    assert rows_in_the_history(server) == rows


def test_a_database_that_is_killed_costs_no_request_and_no_window(
    tiny: Store, tmp_path: Path, postgres: PostgresServer
) -> None:
    """While it is away windows wait in memory; once it is back all of them are there."""
    with over_socket(tiny.root, tmp_path / "log", *FLAGS, **variables(postgres.url("postgres"))) as server:
        server.wait_until_ready()
        until_observed(server)
        with Traffic(server) as traffic:
            traffic.go_on(10 * WINDOW_ROWS)
            postgres.kill()
            until_logged(server, "windows wait in memory until it is back")
            traffic.go_on(10 * WINDOW_ROWS)
            away = rows_in_the_history(server)
            postgres.start()
            traffic.go_on(WINDOW_ROWS)

        until_rows_are_stored(server, traffic.rows // WINDOW_ROWS * WINDOW_ROWS)

    assert away == -1
    assert traffic.statuses == {200}
    assert traffic.slowest_s < DEADLINE_MS / 1000


def test_a_database_that_stands_still_costs_no_request_and_no_window(
    tiny: Store, tmp_path: Path, postgres: PostgresServer
) -> None:
    """It takes connections and never answers, which is worse than to be gone."""
    with over_socket(tiny.root, tmp_path / "log", *FLAGS, **variables(postgres.url("postgres"))) as server:
        server.wait_until_ready()
        until_observed(server)
        with Traffic(server) as traffic:
            traffic.go_on(10 * WINDOW_ROWS)
            postgres.freeze(frozen=True)
            until_logged(server, "windows wait in memory until it is back")
            postgres.freeze(frozen=False)
            traffic.go_on(WINDOW_ROWS)

        until_rows_are_stored(server, traffic.rows // WINDOW_ROWS * WINDOW_ROWS)

    assert traffic.statuses == {200}
    assert traffic.slowest_s < DEADLINE_MS / 1000


def test_a_database_that_is_absent_at_the_start_is_used_once_it_is_there(
    tiny: Store, tmp_path: Path, postgres: PostgresServer
) -> None:
    """The service is ready without it."""
    url = postgres.url("postgres")
    postgres.stop()
    with over_socket(tiny.root, tmp_path / "log", *FLAGS, **variables(url)) as server:
        server.wait_until_ready()
        until_observed(server)
        with Traffic(server) as traffic:
            traffic.go_on(3 * WINDOW_ROWS)
            away = rows_in_the_history(server)
            postgres.start()

        until_rows_are_stored(server, traffic.rows // WINDOW_ROWS * WINDOW_ROWS)

    assert away == -1
    assert traffic.statuses == {200}
    assert traffic.slowest_s < DEADLINE_MS / 1000


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_row_that_was_observed_is_in_the_history_after_a_restart(
    tiny: Store, tmp_path: Path, workers: str
) -> None:
    """Each process stores its open window when it is told to end; the file is beside the store."""
    flags = [*FLAGS, "--workers", workers]
    with over_socket(tiny.root, tmp_path / "log", *flags) as server:
        server.wait_until_ready()
        until(lambda: server.log.read_text().count("of its runs are observed") == int(workers))
        for _ in range(10):
            httpx.post(f"{server.url}/v2/models/tiny/infer", json={"inputs": [TENSOR]}).raise_for_status()
        server.process.send_signal(signal.SIGTERM)
        ended = server.process.wait(DEADLINE_S)

    with over_socket(tiny.root, tmp_path / "log", *flags) as server:
        server.wait_until_ready()
        rows = rows_in_the_history(server)

    assert (ended, rows) == (0, 80)


@pytest.mark.parametrize("given_as", ["flag", "variable"])
def test_a_password_in_a_url_that_is_not_understood_is_never_printed(
    tiny: Store, given_as: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start ends with a sentence that says what was expected."""
    url = "mysql://me:secret@host/database"
    arguments = ["--store", str(tiny.root), "--port", "0"]
    if given_as == "flag":
        arguments += ["--history-url", url]
    else:
        monkeypatch.setenv("BNSERVE_HISTORY_URL", url)

    code = main(arguments)

    written = capsys.readouterr()
    assert code == 2
    assert written.err.startswith("bnserve: history_url: Value error, expected sqlite:///PATH or postgresql://")
    assert "secret" not in written.err + written.out


def test_a_password_of_a_database_that_is_away_is_never_logged(tiny: Store, tmp_path: Path) -> None:
    """Nor is it answered; the rest of the URL helps to find the mistake."""
    url = f"postgresql://me:secret@/bnserve?host={tmp_path}"
    with over_socket(tiny.root, tmp_path / "log", BNSERVE_HISTORY_URL=url) as server:
        server.wait_until_ready()
        answer = httpx.get(f"{server.url}{REPORT}/history", timeout=DEADLINE_S)
        until_logged(server, "windows wait in memory until it is back")

    assert answer.status_code == 503
    assert "postgresql" in answer.text
    assert "secret" not in answer.text + server.log.read_text()
