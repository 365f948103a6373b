"""This module says when folders may have changed: at once where the file system tells, else at an interval."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import watchfiles

DEBOUNCE_MS = 100
"""Changes that come closer together than this are one: a version's files appear in one rename."""

log = logging.getLogger(__name__)


async def changes(*folders: Path, interval_s: float) -> AsyncIterator[None]:
    """Yield now, at each change below a folder, and at least every ``interval_s`` seconds; never ends.

    The interval is for file systems that tell nothing, such as network mounts, and for a folder that is not there yet.
    """
    yield
    while True:
        watched = _existing(folders)
        if watched:
            try:
                async for _ in watchfiles.awatch(
                    *watched,
                    watch_filter=None,
                    debounce=DEBOUNCE_MS,
                    step=DEBOUNCE_MS // 2,
                    rust_timeout=math.ceil(interval_s * 1000),
                    yield_on_timeout=True,
                ):
                    yield
                    if _existing(folders) != watched:
                        break
                continue
            except (OSError, RuntimeError) as error:  # the second is what watchfiles raises where inotify is used up
                log.warning("%s can't be watched, looked at instead: %s", ", ".join(map(str, watched)), error)
        await asyncio.sleep(interval_s)
        yield


def _existing(folders: Sequence[Path]) -> list[Path]:
    return [folder for folder in folders if folder.is_dir()]
