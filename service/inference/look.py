"""This module sees what is in one model's folder of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import ModelsError
from models.store import Store
from service.inference.model_versions import Pin


@dataclass(frozen=True, slots=True)
class Look:
    """What is in a model's folder.

    Attributes:
        signatures: By version, what changes when its files do.
        pin: The version that is pinned.
        problem: One sentence where versions could not be read; they are as they were then.
    """

    signatures: Mapping[int, object] = field(default_factory=dict)
    pin: Pin = None
    problem: str | None = None


def look_at(store: Store, model: str, before: Look) -> Look:
    """Look at a model's folder; what can't be read is as it was before."""
    problem = None
    signatures = before.signatures
    try:
        signatures = {number: _signature(store.bundle_path(model, number)) for number in store.versions(model)}
    except (ModelsError, OSError) as error:  # a folder may go while it is read
        problem = f"model {model} can't be read, nothing changes: {error}"
    try:
        pin: Pin = store.pinned_version(model)
    except ModelsError as error:
        pin = str(error)
    return Look(signatures, pin, problem)


def _signature(path: Path) -> object:
    status = [(file.name, file.lstat()) for file in path.iterdir()]
    return sorted((name, s.st_size, s.st_mtime_ns) for name, s in status)
