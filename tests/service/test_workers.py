"""Several processes behind one address, over a real socket."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from models.store import Store
from service.app import create_app
from service.errors import WorkerError
from service.lifecycle import Lifecycle
from service.settings import Settings
from service.supervisor import Supervisor, worker_settings
from tests.drafts import draft
from tests.service.running import DEADLINE_S, Server, command, over_socket
from tests.service.wire import Sent, body_of

WORKERS = ["--workers", "2"]
ONCE = {"Connection": "close"}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the command keeps its temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def two_workers(store: Store, log: Path, temporary: Path) -> Iterator[Server]:
    """The command with two workers, both of which have answered."""
    with over_socket(store.root, log, *WORKERS, TMPDIR=str(temporary)) as server:
        server.wait_until_ready()
        assert len(answering(server, 2)) == 2
        yield server


@pytest.fixture
def server(tiny: Store, tmp_path: Path, temporary: Path) -> Iterator[Server]:
    """Two workers for a test that ends them."""
    with two_workers(tiny, tmp_path / "log", temporary) as server:
        yield server


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers for tests that leave two behind, and what they counted in view of all."""
    folder = tmp_path_factory.mktemp("lasting")
    store = Store(folder / "store")
    store.publish(draft())
    with two_workers(store, folder / "log", folder) as server:
        yield server


def test_a_worker_that_dies_is_replaced_while_the_other_goes_on(lasting: Server) -> None:
    server, logged = lasting, len(lasting.log.read_text())
    with contextlib.ExitStack() as stack:
        clients: dict[str, httpx.Client] = {}
        tls = ssl.create_default_context()  # not used, but every client would make one
        for _ in range(1000):
            client = stack.enter_context(httpx.Client(base_url=server.url, verify=tls))
            clients.setdefault(process_of(client.get("/v2/health/live")), client)
            if len(clients) == 2:
                break

        kill(workers_of(server)[0])
        new = stack.enter_context(httpx.Client(base_url=server.url, headers=ONCE))
        statuses = [new.get("/v2/models/tiny/ready").status_code for _ in range(20)]
        undisturbed = {name for name, client in clients.items() if process_of(client.get("/v2/health/live")) == name}
    after = answering(server, 2)

    assert statuses == [200] * 20
    assert len(undisturbed) == 1
    assert after & set(clients) == undisturbed
    assert "died with exit code -9, another takes its place" in server.log.read_text()[logged:]


BODY, _ = body_of([Sent("x", "FP32", np.ones((3, 4), np.float32))])


def requests_counted(server: Server) -> float:
    """Requests that were answered, by whichever worker takes the connection."""
    families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(s.value for s in samples if s.name == "bnserve_inference_requests_total" and s.labels["status"] == "200")


def test_every_worker_tells_what_all_of_them_did_and_it_never_goes_back(lasting: Server) -> None:
    expected = requests_counted(lasting) + 40
    for _ in range(40):
        assert httpx.post(f"{lasting.url}/v2/models/tiny/infer", content=BODY).status_code == 200

    told = [requests_counted(lasting)]
    deadline = time.monotonic() + DEADLINE_S
    while told[-1] < expected:
        assert time.monotonic() < deadline
        told.append(requests_counted(lasting))

    later = [requests_counted(lasting) for _ in range(20)]
    assert sorted(told) == told
    assert later == [expected] * 20


def test_what_a_client_asks_one_worker_for_is_done_by_all(lasting: Server) -> None:
    def readiness() -> set[int]:
        with httpx.Client(base_url=lasting.url, headers=ONCE) as client:
            return {client.get("/v2/models/tiny/ready").status_code for _ in range(20)}

    deadline = time.monotonic() + DEADLINE_S
    for verb, expected in (("unload", 503), ("load", 200)):
        assert httpx.post(f"{lasting.url}/v2/repository/models/tiny/{verb}").status_code == 200
        while readiness() != {expected}:
            assert time.monotonic() < deadline


def test_what_a_worker_did_that_has_died_still_counts(lasting: Server) -> None:
    expected = requests_counted(lasting) + 20
    for _ in range(20):
        httpx.post(f"{lasting.url}/v2/models/tiny/infer", content=BODY)
    deadline = time.monotonic() + DEADLINE_S
    while requests_counted(lasting) < expected:
        assert time.monotonic() < deadline

    kill(workers_of(lasting)[0])
    answering(lasting, 2)

    assert requests_counted(lasting) == expected


def test_a_worker_takes_connections_only_when_its_models_are_loaded(tiny: Store) -> None:
    app = create_app(Settings(store=tiny.root, device="cpu"), lifecycle=Lifecycle(loads_first=True))

    async def loaded_at_start() -> bool:
        async with app.framework.router.lifespan_context(app.framework):
            loaded: bool = app.framework.state.registry.loaded.is_set()
            return loaded

    assert asyncio.run(loaded_at_start())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_behind(server: Server, temporary: Path, stop: signal.Signals) -> None:
    workers = workers_of(server)
    used = list(temporary.iterdir())

    os.kill(server.process.pid, stop)
    code = server.process.wait(DEADLINE_S)

    assert (code, len(used)) == (0, 1)
    assert list(temporary.iterdir()) == []
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
    assert "Traceback" not in server.log.read_text()


def test_workers_do_not_outlive_their_supervisor(server: Server) -> None:
    endings = [os.pidfd_open(pid) for pid in workers_of(server)]

    server.process.kill()
    ended = [bool(select.select([ending], [], [], DEADLINE_S)[0]) for ending in endings]

    for ending in endings:
        os.close(ending)
    assert ended == [True, True]


def test_a_signal_to_the_whole_group_is_one_signal(server: Server) -> None:
    everyone = [server.process.pid, *workers_of(server)]

    for pid in everyone:
        os.kill(pid, signal.SIGINT)
    code = server.process.wait(DEADLINE_S)

    assert code == 0
    assert "Traceback" not in server.log.read_text()
    assert "died" not in server.log.read_text()


def test_why_a_worker_can_not_start_is_told_in_one_sentence(tiny: Store) -> None:
    flags = [*WORKERS, "--device", "cuda", "--port", "0", "--store", str(tiny.root), "--log-level", "error"]

    finished = command(*flags, CUDA_VISIBLE_DEVICES="")

    assert finished.returncode == 1
    assert finished.stderr.startswith("bnserve: device: expected ")
    assert finished.stderr.count("\n") == 1


def test_without_a_place_for_temporary_files_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        supervisor = Supervisor(Settings(workers=2), listening, cpus=2)

        with pytest.raises(WorkerError, match="workers: expected a folder for temporary files"):
            supervisor.run()


@pytest.mark.parametrize(
    ("threads", "workers", "cpus", "expected"), [(0, 2, 8, 4), (0, 3, 8, 2), (0, 4, 2, 1), (6, 2, 8, 3), (1, 2, 8, 1)]
)
def test_workers_share_the_threads(threads: int, workers: int, cpus: int, expected: int) -> None:
    settings = Settings(threads=threads, workers=workers)

    each = worker_settings(settings, cpus=cpus)

    assert each.threads == expected


@given(threads=st.integers(0, 512), workers=st.integers(1, 256), cpus=st.integers(1, 512))
def test_workers_have_no_more_threads_together_than_there_are_unless_each_has_one(
    threads: int, workers: int, cpus: int
) -> None:
    settings = Settings(threads=threads, workers=workers)

    each = worker_settings(settings, cpus=cpus)

    assert each.threads == 1 or each.threads * workers <= (threads or cpus)
    assert each.threads >= 1
    assert each.model_copy(update={"threads": threads}) == settings


def process_of(answer: httpx.Response) -> str:
    """Which process answered: ids that it makes begin alike."""
    assert answer.status_code == 200
    identity: str = answer.headers["x-request-id"]
    return identity.partition("-")[0]


def answering(server: Server, count: int) -> set[str]:
    """The processes that answer: the first so many that are found, on new connections."""
    found: set[str] = set()
    with httpx.Client(base_url=server.url, headers=ONCE) as client:
        for _ in range(20_000):
            found.add(process_of(client.get("/v2/health/live")))
            if len(found) == count:
                break
    return found


def workers_of(server: Server) -> list[int]:
    """Process ids of the workers."""
    pid = server.process.pid
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def kill(pid: int) -> None:
    """Kill a process, and wait until it is dead."""
    ending = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([ending], [], [], DEADLINE_S)[0]
    os.close(ending)
