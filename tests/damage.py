"""This module damages bundles for tests, so that the manifest still vouches for them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Arrays, sha256
from models.manifest import MANIFEST_FILE


def change_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the manifest says."""
    document = json.loads((path / MANIFEST_FILE).read_bytes())
    change(document)
    (path / MANIFEST_FILE).write_text(json.dumps(document))


def list_file(path: Path, name: str, data: bytes) -> None:
    """Let the manifest vouch for a file of this content."""
    change_manifest(
        path, lambda manifest: manifest["files"].update({name: {"sha256": sha256(data), "bytes": len(data)}})
    )


def replace_file(path: Path, name: str, data: bytes) -> None:
    """Replace a file, and let the manifest vouch for the new one."""
    (path / name).write_bytes(data)
    list_file(path, name, data)


def packed(arrays: Arrays) -> bytes:
    """An archive of arrays; pickled, where they hold objects."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, array)
    return buffer.getvalue()


def replace_arrays(path: Path, name: str, change: Callable[[Arrays], object]) -> None:
    """Change what an archive holds, and let the manifest vouch for it."""
    with np.load(path / name) as archive:
        arrays = {key: archive[key] for key in archive.files}
    change(arrays)
    replace_file(path, name, packed(arrays))
