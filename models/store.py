"""This module is the place where bundles live: ``<root>/<model>/<version>/``, and ``<root>/<model>/default``.

A version appears whole or not at all: it is written into a hidden folder beside its destination, seen to the disk,
and renamed. After that it never changes. The file ``default`` says which version answers when a request names none;
without the file that is the highest.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from models.bundle import Bundle
from models.durable import locked_folder, remove_abandoned, sync_folder
from models.errors import BundleError, ModelNotFound, StoreError, VersionNotFound
from models.manifest import MODEL_NAME_PATTERN
from models.pins import VERSION, Pins, promoted, read_pins, write_pins

_MODEL = re.compile(MODEL_NAME_PATTERN)


class Publishable(Protocol):
    """What can become a version: a draft, or a copy of another version."""

    @property
    def name(self) -> str:
        """Of the model."""

    def write(self, directory: Path, *, version: int) -> None:
        """Write all files into an existing folder, and see every byte of them to the disk."""


class Store:
    """A folder of bundles; it need not exist until something is published."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[str]:
        """Names of all models that have a folder, sorted; none if the store does not exist."""
        return sorted(entry.name for entry in _folders(self.root) if _MODEL.fullmatch(entry.name))

    def versions(self, model: str) -> list[int]:
        """Versions of a model, ascending; none if there is no such model.

        Raises:
            StoreError: If the name is none that a model can have.
        """
        return sorted(int(entry.name) for entry in _folders(self._folder(model)) if VERSION.fullmatch(entry.name))

    def pins(self, model: str) -> Pins:
        """The version that a model's file ``default`` names, then those that it named before, newest first.

        Raises:
            StoreError: If the file holds anything but numbers of versions.
        """
        return read_pins(self._folder(model))

    def pinned_version(self, model: str) -> int | None:
        """The version that a model's file ``default`` names, or None where there is no such file.

        Raises:
            StoreError: If the file holds anything but numbers of versions.
        """
        return next(iter(self.pins(model)), None)

    def pin_version(self, model: str, version: int, *, answered: int | None = None) -> None:
        """Make a version the default, in one atomic write that also mends a damaged file.

        Args:
            model: Its name.
            version: The one that is to answer from now on.
            answered: The one that did until now, if the file may not say so; rolling back leads there.

        Raises:
            ModelNotFound: If the store holds no such model.
            VersionNotFound: If the model has no such version.
            StoreError: If the store can't be written to.
        """
        with self._pinning(model, version) as folder:
            try:
                before = read_pins(folder)
            except StoreError:
                before = ()
            write_pins(folder, promoted(before, version, answered=answered))

    def roll_back(self, model: str, version: int) -> None:
        """Make a version the default that was it before, and forget those that came after it.

        Raises:
            ModelNotFound: If the store holds no such model.
            VersionNotFound: If the model has no such version, or it was no default before.
            StoreError: If the file is damaged, or the store can't be written to.
        """
        with self._pinning(model, version) as folder:
            earlier = read_pins(folder)[1:]
            if version not in earlier:
                raise VersionNotFound(f"{model}: expected one of the earlier defaults {list(earlier)}, got {version}")
            write_pins(folder, earlier[earlier.index(version) :])

    def unpin(self, model: str) -> None:
        """Let the highest version be the default again; earlier ones are forgotten.

        Raises:
            StoreError: If the store can't be written to.
        """
        write_pins(self._folder(model), ())

    def bundle_path(self, model: str, version: int) -> Path:
        """Where a version lives, whether or not it is there."""
        return self._folder(model) / str(version)

    def open(self, model: str, version: int) -> Bundle:
        """Open a version and check it whole.

        Raises:
            ModelNotFound: If the store holds no such model.
            VersionNotFound: If the model has no such version.
            BundleError: If the bundle is damaged, or is another than the one its place says.
        """
        path = self.bundle_path(model, version)
        if not path.is_dir():
            raise self._not_found(model, version)
        bundle = Bundle.open(path)
        found = (bundle.manifest.name, bundle.manifest.version)
        if found != (model, version):
            raise BundleError(f"manifest.json: name, version: expected {model} {version}, got {found[0]} {found[1]}")
        return bundle

    def publish(self, draft: Publishable) -> Bundle:
        """Publish a draft as the next version of its model; several publishers may do so at once.

        Raises:
            StoreError: If the name is none that a model can have, or the store can't be written to.
            BundleError: If what was written can't be read back; nothing is published then.
        """
        folder = self._folder(draft.name)
        version = max(self.versions(draft.name), default=0) + 1
        try:
            _make_folder(folder)
            while (bundle := self._publish_as(draft, version)) is None:
                version += 1
        except OSError as error:
            raise StoreError(f"{folder}: expected a folder that can be written to: {error.strerror}") from error
        return bundle

    def publish_candidate(self, draft: Publishable) -> Bundle:
        """Publish a draft as the next version, which answers no request that names none before it is promoted.

        Where no version is pinned, the highest is first, since it is the one that answers; it stays pinned. A model
        without versions has none to pin: its first one is its default.

        Raises:
            StoreError: As ``publish`` does, or the pins can't be read or written.
            BundleError: As ``publish`` does.
        """
        versions = self.versions(draft.name)
        if versions:
            with self._pinning(draft.name, versions[-1]) as folder:
                if not read_pins(folder):
                    write_pins(folder, (versions[-1],))
        return self.publish(draft)

    def _publish_as(self, draft: Publishable, version: int) -> Bundle | None:
        """Publish as one version; None if another publisher was faster."""
        destination = self.bundle_path(draft.name, version)
        with _unfinished(destination.parent) as temporary:
            try:
                draft.write(temporary, version=version)
                written = Bundle.open(temporary)
                written.normalization()
                written.sample()
                sync_folder(temporary)
                temporary.rename(destination)
            except BaseException as error:
                shutil.rmtree(temporary, ignore_errors=True)
                if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return None
                raise
        sync_folder(destination.parent)
        return Bundle(destination, written.manifest)

    @contextmanager
    def _pinning(self, model: str, version: int) -> Iterator[Path]:
        """A model's folder, the pins of which no other process changes meanwhile."""
        folder = self._folder(model)
        if version not in self.versions(model):
            raise self._not_found(model, version)
        with locked_folder(folder):
            yield folder

    def _not_found(self, model: str, version: int) -> StoreError:
        if model not in self.models():
            return ModelNotFound(f"{self.root}: expected one of the models {self.models()}, got {model!r}")
        return VersionNotFound(f"{model}: expected one of the versions {self.versions(model)}, got {version}")

    def _folder(self, model: str) -> Path:
        if not _MODEL.fullmatch(model):
            raise StoreError(
                "model name: expected a letter or digit, then at most 127 letters, digits, '.', '_' or '-', "
                f"got {model[:140]!r}"
            )
        return self.root / model


def _folders(path: Path) -> list[Path]:
    try:
        return [entry for entry in path.iterdir() if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{path}: expected a folder that can be read: {error.strerror}") from error


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new hidden folder, locked while it is written; those that killed publishers have left go."""
    path = folder / f".publishing-{uuid4().hex}"
    with ExitStack() as lock:
        with locked_folder(folder):  # so that nobody takes a folder for left that is about to be locked
            remove_abandoned(folder, ".publishing-*")
            path.mkdir()
            lock.enter_context(locked_folder(path))
        yield path


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each seen to the disk."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
