"""This module runs a PostgreSQL server of its own in a temporary folder, to be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, create_engine, text

DEADLINE_S = 30
_DEBIAN = Path("/usr/lib/postgresql")


def find_binaries() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``, the newest where there are several; None where there is none."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A server without network, on a socket in its folder.

    Args:
        folder: Belongs to the user under whom it runs.
        binaries: From ``find_binaries``.
        fsync: Whether it waits for the disk. Only a machine that loses its power needs that, and it takes time.
    """

    def __init__(self, folder: Path, binaries: Path, *, fsync: bool) -> None:
        self.folder = folder
        self._binaries = binaries
        self._fsync = fsync
        self._data = folder / "data"
        # PostgreSQL refuses root
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()

    def create(self) -> None:
        """Make an empty cluster."""
        arguments = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            "--no-sync",
        ]
        self._do("initdb", f"--pgdata={self._data}", *arguments)
        options = (
            f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nshared_buffers = '16MB'\n"
            f"fsync = {'on' if self._fsync else 'off'}\n"
        )
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(options)

    def start(self) -> None:
        """Start it and wait until it answers; tries again while what was killed is still dying."""
        give_up_at = time.monotonic() + DEADLINE_S
        while True:
            try:
                self._ctl("start", "--wait", f"--timeout={DEADLINE_S}", f"--log={self.folder / 'log'}")
            except subprocess.CalledProcessError:
                if time.monotonic() > give_up_at:
                    raise
            else:
                return

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` in order, ``immediate`` as in a crash."""
        self._ctl("stop", f"--mode={mode}", "--wait")

    def kill(self) -> None:
        """End its main process at once; the others notice and follow."""
        os.kill(self.pid, signal.SIGKILL)

    def freeze(self, *, frozen: bool) -> None:
        """Let every process of it stand still, or go on."""
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        for pid in [self.pid, *_children(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def pid(self) -> int:
        """Of its main process."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def create_database(self, name: str) -> URL:
        """Make an empty database."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return self.url(name)

    def url(self, database: str) -> URL:
        """Of a database."""
        query = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", username="postgres", database=database, query=query)

    def _ctl(self, command: str, *arguments: str) -> None:
        self._do("pg_ctl", command, "--silent", f"--pgdata={self._data}", *arguments)

    def _do(self, program: str, *arguments: str) -> None:
        # a server inherits what its output is, and would hold a pipe open
        with (self.folder / "commands").open("a") as output:
            subprocess.run(  # noqa: S603  its own binaries
                [self._binaries / program, *arguments],
                check=True,
                timeout=2 * DEADLINE_S,
                user=self._user if os.geteuid() == 0 else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )


@contextlib.contextmanager
def running_postgres(binaries: Path, *, fsync: bool = True) -> Iterator[PostgresServer]:
    """A new server that runs, and is gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="history-"))  # short, since the path of a socket has at most 107 bytes
    server = PostgresServer(folder, binaries, fsync=fsync)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        server.create()
        server.start()
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError, OSError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
