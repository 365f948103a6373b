"""This module lets one process at a time work in a folder, and says which one does.

The lock is the kernel's (flock), on the file ``lock``: it ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from training.errors import JobError, JobHeld

LOCK_FILE = "lock"


@contextlib.contextmanager
def held_folder(path: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there.

    Raises:
        JobHeld: If another process holds it; the sentence names its id and host.
        JobError: If the folder can't be made or written to, or its file system has no locks.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JobError(f"{path}: expected a folder that can be written to: {error.strerror}") from error
    try:
        _lock(path, descriptor)
        _sign(path, descriptor)
        yield
    finally:
        os.close(descriptor)  # and with it goes the lock


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JobHeld(f"{path}: another job works there: {_holder(descriptor)}; --runs names another folder") from error
    except OSError as error:
        raise JobError(f"{path}: expected a file system with locks, so that no two jobs meet: {error}") from error


def _sign(path: Path, descriptor: int) -> None:
    """Say who holds it; where there is no room to say so, it is held all the same."""
    signature = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, signature, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise JobError(f"{path}: expected a folder that can be written to: {error.strerror}") from error


def _holder(descriptor: int) -> str:
    try:
        signature = json.loads(os.pread(descriptor, 1024, 0))
    except ValueError:
        return "a process that has not said which"
    return f"process {signature['pid']} on host {signature['host']}"
