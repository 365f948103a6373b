"""This module writes files so that they are there after a crash, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in the place of another, which readers see until this one is whole."""
    temporary = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        write_file(temporary, data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Let one process at a time change what is in a folder, of those that ask for it here.

    Where the file system has no locks there is none; files are still whole then, but the last writer wins.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # and with it goes the lock


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Remove folders in a folder that no process has locked; those that can't be told stay.

    Args:
        folder: Where they are.
        pattern: Of their names, as ``Path.glob`` takes it.
    """
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # locked, gone meanwhile, or on a file system without locks
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)
