"""This module opens the bundle that a command line names."""

from __future__ import annotations

from pathlib import Path

from models.bundle import Bundle
from models.errors import BundleError, StoreError
from models.pins import VERSION
from models.store import Store


def open_version(path: Path) -> tuple[Store, Bundle]:
    """The store and the version that a path ``STORE/MODEL/VERSION`` names.

    Raises:
        ModelsError: If it names none, or the bundle is damaged.
    """
    if ".." in path.parts or len(path.parts) < len(("STORE", "MODEL", "VERSION")):
        path = path.resolve()  # what is above it is not in its name; else it is told as it was given
    if not VERSION.fullmatch(path.name):
        raise StoreError(f"{path}: expected STORE/MODEL/VERSION, the version a whole number from 1")
    store = Store(path.parent.parent)
    return store, store.open(path.parent.name, int(path.name))


def open_folder(path: Path) -> Bundle:
    """The bundle in a folder of any name: it is only to be read.

    Raises:
        BundleError: If there is none, or it is damaged.
    """
    if not path.is_dir():
        raise BundleError(f"{path}: expected the folder of a version, as STORE/MODEL/VERSION, there is none")
    try:
        return Bundle.open(path)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
