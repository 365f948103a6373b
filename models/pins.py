"""This module reads and writes the file that says which version of a model answers: ``<store>/<model>/default``.

Its first line is the number of that version. Below it are those that answered before, newest first, so that a
promotion can be rolled back. A file of one line, as people write it, is as good as any.
"""

from __future__ import annotations

import re
from pathlib import Path

from models.durable import replace_file
from models.errors import StoreError

DEFAULT_FILE = "default"
MOST_PINS = 10
"""Lines that are kept."""

VERSION = re.compile(r"[1-9][0-9]{0,17}")
"""How the number of a version is written: a whole number from 1, without leading zeros."""

Pins = tuple[int, ...]
"""The version that answers, then earlier ones, newest first; empty where no version is pinned."""


def read_pins(folder: Path) -> Pins:
    """Read the file of a model's folder; without one nothing is pinned.

    Raises:
        StoreError: If it holds anything but numbers of versions, one a line.
    """
    try:
        text = (folder / DEFAULT_FILE).read_text()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{folder.name}/{DEFAULT_FILE}: expected a text file that can be read: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    for line in lines:
        if not VERSION.fullmatch(line):
            raise StoreError(f"{folder.name}/{DEFAULT_FILE}: expected the number of a version, got {line[:40]!r}")
    return tuple(map(int, lines))


def write_pins(folder: Path, pins: Pins) -> None:
    """Replace the file, in one atomic write; without pins remove it.

    Raises:
        StoreError: If it can't be written.
    """
    path = folder / DEFAULT_FILE
    try:
        if pins:
            replace_file(path, "".join(f"{version}\n" for version in pins[:MOST_PINS]).encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder.name}/{DEFAULT_FILE}: expected a file that can be written: {error.strerror}"
        ) from error


def promoted(pins: Pins, version: int, *, answered: int | None) -> Pins:
    """Pins after a version was promoted, to which rolling back leads from there.

    Args:
        pins: Those before.
        version: The one that is to answer.
        answered: The one that did, whether or not it was pinned; None if none did.
    """
    if answered is not None and pins[:1] != (answered,):
        pins = (answered, *pins)
    return pins if pins[:1] == (version,) else (version, *pins)
