"""This module finds the files and folders that a recipe names; a path is taken from the current folder."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from training.errors import DataError

SHOWN = 3


def existing_file(path: Path) -> Path:
    """The path, if it is a file's; raises DataError with the nearest names where it is none."""
    if not path.is_file():
        raise DataError(f"{path}: expected a file that exists{_instead(path)}")
    return path


def existing_folder(path: Path) -> Path:
    """The path, if it is a folder's; raises DataError with the nearest names where it is none."""
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder that exists{_instead(path)}")
    return path


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for the end of a message, where something has nearly the name; else nothing."""
    found = get_close_matches(name, list(known), n=SHOWN)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _instead(path: Path) -> str:
    if path.exists():
        return f", got a {'folder' if path.is_dir() else 'file'}"
    above = path.absolute().parent
    if not above.is_dir():
        return f"; there is no folder {path.parent} either" if path.parent != Path() else ""
    return nearest(path.name, (each.name for each in above.iterdir()))
