"""This module serves with several processes behind one address: it starts them, replaces those that die, stops them.

uvicorn has a supervisor too. It kills a worker that does not answer its pings in time, as one does not that is busy
starting; it stops with SIGTERM whatever it was stopped with; and it can't be told twice. This one waits for events
instead of asking: for a signal, and for the end of a worker.

Signals reach the supervisor alone; workers start with them blocked, and stop when the supervisor says so, or is gone.
So it makes no difference whether a signal goes to one process or, as from a terminal, to the whole group.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from service.errors import WorkerError
from service.server import SAME_S, STOP_SIGNALS
from service.settings import Settings
from service.worker import work

END_S = 10.0
"""How long a worker may take to end, beyond the time that requests under way have."""

log = logging.getLogger(__name__)


class Supervisor:
    """Serves with as many processes as the settings say.

    Args:
        settings: Of the service, for all workers together.
        listening: Where all of them listen.
        cpus: How many the service may use.
    """

    def __init__(self, settings: Settings, listening: socket.socket, *, cpus: int) -> None:
        self._count = settings.workers
        self._settings = worker_settings(settings, cpus=cpus)
        self._listening = listening
        self._workers: dict[int, _Worker] = {}

    def run(self) -> None:
        """Serve until a signal ends it; a second one ends it at once.

        Raises:
            WorkerError: If a worker says that it can't start, or there is no place for what workers share.
        """
        with _shared_folder() as shared, _signals() as heard:
            number: int = signal.SIGINT
            try:
                for _ in range(self._count):
                    self._start(shared)
                number = self._watch(heard, shared)
            finally:
                self._stop(number, heard)

    def _start(self, shared: Path) -> None:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(self._settings, self._listening, shared, there)
        )
        resource_tracker.ensure_running()  # started below it would unblock the signals
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        there.close()
        self._workers[process.sentinel] = _Worker(process, here)

    def _watch(self, heard: socket.socket, shared: Path) -> int:
        """Replace workers that die, until a signal comes; its number."""
        while True:
            ready = connection.wait([heard, *self._workers])
            if heard in ready:
                return heard.recv(1)[0]
            for sentinel in ready:
                assert isinstance(sentinel, int)
                worker = self._workers.pop(sentinel)
                pid, code = worker.join()
                log.error("worker %d died with exit code %d, another takes its place", pid, code)
                self._start(shared)

    def _stop(self, number: int, heard: socket.socket) -> None:
        """Have all workers stop as that signal says; kill them if they take too long, or another signal comes."""
        asked_at = time.monotonic()
        self._listening.close()  # else it would take connections that nobody answers
        for worker in self._workers.values():
            with contextlib.suppress(OSError):  # it is gone already
                worker.pipe.send(number)
        delay_s = self._settings.shutdown_delay_s if number == signal.SIGTERM else 0.0
        deadline = asked_at + delay_s + self._settings.shutdown_timeout_s + END_S
        while self._workers:
            ready = connection.wait([heard, *self._workers], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for one in ready:
                if isinstance(one, int):
                    self._workers.pop(one).process.join()
            if heard in ready:
                heard.recv(1)
                if time.monotonic() - asked_at > SAME_S:
                    break
        for worker in self._workers.values():
            log.warning("worker %d is killed", worker.process.pid)
            worker.process.kill()
            worker.process.join()


def worker_settings(settings: Settings, *, cpus: int) -> Settings:
    """What one worker is told: its part of the threads, which are ``cpus`` where the settings leave them open."""
    threads = (settings.threads or cpus) // settings.workers
    return settings.model_copy(update={"threads": max(1, threads)})


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, and the pipe to it: it is told the number of a signal, and tells why it can't start."""

    process: SpawnProcess
    pipe: Connection

    def join(self) -> tuple[int, int]:
        """Wait for its end: its process id and exit code.

        Raises:
            WorkerError: If it could not start.
        """
        self.process.join()
        pid, code = self.process.pid, self.process.exitcode
        assert pid is not None
        assert code is not None
        with self.pipe, contextlib.suppress(EOFError, ConnectionError):
            raise WorkerError(self.pipe.recv())
        return pid, code


@contextlib.contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder for what workers share: figures, and who controls what is served."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="bnserve-", ignore_cleanup_errors=True)
    except OSError as error:
        raise WorkerError(f"workers: expected a folder for temporary files that can be written to: {error}") from error
    with folder as name:
        yield Path(name)


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket from which every signal to stop can be read: one byte, its number."""
    heard, told = socket.socketpair()
    with heard, told:
        told.setblocking(False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        previous = signal.set_wakeup_fd(told.fileno())
        try:
            yield heard
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)
