"""This module copies a published bundle to be published again: elsewhere, or to be observed in another way.

A bundle never changes, so whatever is to change makes another version of it. Its other files are taken as they are, to
the byte; the manifest says of them what it said. Whoever publishes the copy reads it back, and with that every file is
held against its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.bundle import OBSERVING_FILES, Bundle, sha256
from models.draft import observing_files
from models.durable import write_file
from models.manifest import MANIFEST_FILE, FileRecord
from models.observing import Observing


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCopy:
    """A bundle that is to be published again.

    Attributes:
        bundle: What is copied; its files were found intact.
        name: Of the model that the copy becomes a version of.
        observing: What is to take the place of the bundle's own; None leaves that as it is.
    """

    bundle: Bundle
    name: str
    observing: Observing | None = None

    def write(self, directory: Path, *, version: int) -> None:
        """Write the copy as ``version`` into an existing folder, and see every byte of it to the disk.

        It is as old as what it is a copy of, unless what it is observed by is new.
        """
        manifest = self.bundle.manifest
        changed = {} if self.observing is None else observing_files(self.observing)
        kept = {name: record for name, record in manifest.files.items() if not (changed and name in OBSERVING_FILES)}
        for name in kept:
            write_file(directory / name, (self.bundle.path / name).read_bytes())
        for name, data in changed.items():
            write_file(directory / name, data)
        files = {name: FileRecord(sha256=sha256(data), bytes=len(data)) for name, data in changed.items()}
        copied = manifest.model_copy(
            update={
                "name": self.name,
                "version": version,
                "created": datetime.now(UTC).replace(microsecond=0) if changed else manifest.created,
                "files": kept | files,
            }
        )
        write_file(directory / MANIFEST_FILE, copied.to_json())
