"""This module lets worker processes show one another what they saw, so that any of them can answer for all.

Each keeps a file of its own in a folder that they share, as they do for their figures. What they saw merges exactly.
Where a version is reset, a stamp is left for it, and whatever was seen under an older one counts no more.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.draft import pack_arrays
from models.stacked_moments import StackedMoments
from service.normalization.judgement import Judgement
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.sight import Sight

Version = tuple[str, str]
"""Model and version."""

_PREFIX = "seen-"


class SharedSights:
    """The files of all workers, one of them of this process.

    Args:
        folder: Exists, and belongs to these workers alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"{_PREFIX}{os.getpid()}.npz"

    def show(self, seen: Mapping[Version, tuple[Seen, int]]) -> None:
        """Let the others see what this process saw, each with the stamp under which it did."""
        arrays: dict[str, Any] = {}
        entries = [
            _pack(version, one, stamp, f"{number}/", arrays)
            for number, (version, (one, stamp)) in enumerate(seen.items())
        ]
        arrays["entries"] = np.frombuffer(json.dumps(entries).encode(), np.uint8)
        temporary = self._own.with_suffix(".new")
        temporary.write_bytes(pack_arrays(arrays))
        temporary.replace(self._own)

    def others(self, version: Version) -> Iterator[Seen]:
        """What other processes saw of a version since it was reset, as far as they have shown it."""
        stamp = self.stamp(version)
        for path in sorted(self._folder.glob(f"{_PREFIX}*.npz")):
            if path == self._own:
                continue
            with np.load(path, allow_pickle=False) as arrays:
                for number, entry in enumerate(json.loads(arrays["entries"].tobytes())):
                    if tuple(entry["version"]) == version and entry["stamp"] == stamp:
                        yield _unpack(entry, f"{number}/", arrays)

    def reset(self, version: Version) -> None:
        """Have all processes forget what they saw of a version."""
        path = self._stamp_path(version)
        temporary = path.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(str(time.time_ns()))
        temporary.replace(path)

    def stamp(self, version: Version) -> int:
        """Of the last reset of a version; 0 where there was none."""
        try:
            return int(self._stamp_path(version).read_text())
        except FileNotFoundError:
            return 0

    def _stamp_path(self, version: Version) -> Path:
        return self._folder / f"reset-{version[0]}-{version[1]}.stamp"


def _pack(version: Version, seen: Seen, stamp: int, prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put what was seen into arrays, and what is no array into an entry."""
    sights = {"total": seen.total, "open": seen.open} | ({} if seen.window is None else {"window": seen.window.sight})
    for name, sight in sights.items():
        for field in ("count", "mean", "m2"):
            arrays[f"{prefix}{name}/{field}"] = getattr(sight.moments, field)
    judgement = None if seen.window is None else seen.window.judgement
    return {
        "version": version,
        "stamp": stamp,
        "share": seen.share,
        "rows_seen": seen.rows_seen,
        "rows_dropped": seen.rows_dropped,
        "sights": {
            name: {
                "rows": sight.moments.rows,
                "not_finite": sight.not_finite,
                "since": sight.since,
                "until": sight.until,
            }
            for name, sight in sights.items()
        },
        "judgement": None if judgement is None else [list(judgement.scores), judgement.threshold, judgement.num_inputs],
    }


def _unpack(entry: Mapping[str, Any], prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Seen:
    sights: dict[str, Sight] = {}
    for name, told in entry["sights"].items():
        fields: Sequence[NDArray[Any]] = [arrays[f"{prefix}{name}/{field}"] for field in ("count", "mean", "m2")]
        moments = StackedMoments(told["rows"], *fields)
        sights[name] = Sight(moments, told["not_finite"], told["since"], told["until"])
    judgement = None if entry["judgement"] is None else Judgement(*entry["judgement"])
    return Seen(
        share=entry["share"],
        rows_seen=entry["rows_seen"],
        rows_dropped=entry["rows_dropped"],
        total=sights["total"],
        window=ClosedWindow(sights["window"], judgement) if "window" in sights else None,
        open=sights["open"],
    )
