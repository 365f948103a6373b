"""This module keeps states of a job in files that are whole or are known not to be.

A file is ``<name>-<hash>.pt``: what ``torch.save`` writes, and in its name the beginning of its SHA-256. It is written
beside its place, seen to the disk, and renamed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.durable import replace_file
from training.errors import CheckpointError

HASH_DIGITS = 16

State = Mapping[str, Any]


def write_state(folder: Path, name: str, state: State) -> Path:
    """Write a state; a file of the same name and another content is removed once this one is there.

    Raises:
        OSError: If it can't be written; what was there before still is.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getvalue()
    path = folder / f"{name}-{_digest(data)}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
    for other in state_files(folder, name):
        if other != path:
            other.unlink()
    return path


def state_files(folder: Path, name: str) -> list[Path]:
    """The files of a name, ``*`` in it for any characters, sorted; none if there is no such folder."""
    return sorted(folder.glob(f"{name}-{'[0-9a-f]' * HASH_DIGITS}.pt"))


def read_state(path: Path) -> dict[str, Any]:
    """Read a state, to the CPU, without running any code that is in the file.

    Raises:
        CheckpointError: If the file can't be read, or is not what was written.
    """
    data = _read_intact(path)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: expected tensors and plain values, written by this version: {error}") from error
    return state


def newest_intact(paths: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """The last of the files that is as it was written, and those behind it, which are damaged or can't be read."""
    damaged: list[Path] = []
    for path in reversed(paths):
        try:
            _read_intact(path)
        except CheckpointError:
            damaged.append(path)
        else:
            return path, damaged
    return None, damaged


def _read_intact(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: expected a file that can be read: {error.strerror}") from error
    expected, found = path.stem[-HASH_DIGITS:], _digest(data)
    if found != expected:
        raise CheckpointError(f"{path}: expected a SHA-256 that begins with {expected}, got {found}")
    return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:HASH_DIGITS]
