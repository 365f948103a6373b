"""This module gives tests the committed bundles alone, whatever has been published to the default store since."""

from __future__ import annotations

import shutil
from pathlib import Path

from models.store import Store
from tests.damage import change_manifest

STORE = Path(__file__).parents[1] / "models" / "store"
BUNDLES = tuple(STORE / name / "1" for name in ("digits", "digits-mlp"))
"""Of the default store only these are committed; they are looked at where they lie, and served from a copy."""

DIGITS = BUNDLES[0]


def copy_committed(root: Path, *bundles: Path) -> Store:
    """A store of its own at ``root`` with copies of committed bundles; of all if none are given."""
    for bundle in bundles or BUNDLES:
        shutil.copytree(bundle, root / bundle.relative_to(STORE))
    return Store(root)


def copy_as(store: Store, bundle: Path, *, version: int) -> None:
    """Publish a committed bundle once more, as another version: seen whole or not at all."""
    target = store.root / bundle.relative_to(STORE).with_name(str(version))
    hidden = target.with_name(".copying")
    shutil.copytree(bundle, hidden)
    change_manifest(hidden, lambda manifest: manifest.update(version=version))
    hidden.rename(target)
