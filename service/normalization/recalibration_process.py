"""This module is the process that recalibrates: it reads a task, publishes what comes of it, says so, and ends.

It runs beside the service with a lower priority, and its memory goes with it. It lives as long as its standard input is
open: when the service no longer wants an answer it closes that, when the service dies the system does, and either way
what was begun is taken back.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from folding.errors import GraphError
from folding.recalibration import BATCH_ROWS, recalibrate
from models.errors import BundleError, ModelNotFound, StoreError, VersionNotFound
from models.store import Store
from service.normalization.recalibration_task import (
    Published,
    RecalibrationTask,
    Refused,
    pack_answer,
    read_task,
)

NICENESS = 10
"""Where a CPU is wanted by the service too, this gets a tenth of it."""


def main() -> None:
    """Do the task that comes on standard input, and write its answer to standard output."""
    os.nice(NICENESS)
    task, arrays = read_task(sys.stdin.buffer)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever whoever started the service did to it
    try:
        threading.Thread(target=_end_with_the_service, daemon=True).start()  # it may interrupt even this call
        sys.stdout.buffer.write(pack_answer(do_task(task, arrays)))
    except KeyboardInterrupt:
        sys.exit(1)


def do_task(task: RecalibrationTask, arrays: Mapping[str, NDArray[Any]]) -> Published | Refused:
    """Recalibrate and publish, or say why not."""
    try:
        return _publish(task, arrays)
    except GraphError as error:
        return Refused(kind="InvalidRequest", text=str(error))
    except (ModelNotFound, VersionNotFound) as error:
        return Refused(kind="NotFound", text=str(error))
    except StoreError as error:
        return Refused(kind="StoreUnwritable", text=str(error))
    except BundleError as error:
        return Refused(kind="NotReady", text=str(error))


def _publish(task: RecalibrationTask, arrays: Mapping[str, NDArray[Any]]) -> Published:
    store = Store(Path(task.store))
    bundle = store.open(task.model, task.version)
    _expect_writable(bundle.path.parent)  # told before the work, not after it
    made = recalibrate(
        bundle,
        {name: array for name, array in arrays.items() if name != task.labels},
        prior_rows=task.prior_rows,
        batch_rows=BATCH_ROWS if task.batch_rows is None else task.batch_rows,
        labels=None if task.labels is None else arrays[task.labels],
        force=task.force,
        data=task.data,
    )
    published = store.publish_candidate(made.draft)
    return Published(version=published.manifest.version, record=made.record)


def _expect_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK):
        raise StoreError(f"{folder}: expected a folder that can be written to, the store is read-only here")


def _end_with_the_service() -> None:
    """Interrupt the main thread once nobody holds the other end of standard input."""
    os.read(sys.stdin.fileno(), 1)
    _thread.interrupt_main()


if __name__ == "__main__":
    main()
