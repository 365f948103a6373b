"""This module is a process that has windows stored until it is ended: ``python -m benchmarks.history.writer URL FILE``.

The ids of what its recorder says is stored go to the file, one a line; what the file holds survives the process. On
SIGTERM it closes its recorder and says in its last line of output how that did.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np

from benchmarks.history.windows import random_window
from service.history.backoff import Backoff
from service.history.recorder import Recorder
from service.history.recorder_options import RecorderOptions
from service.history.urls import parse_url

EVERY_S = 0.01
"""How long to wait after each window: a hundred a second, far more than a service closes."""

FLUSH_S = 30.0
"""How long it tries to store the rest at its end; a service's five seconds may go by on a machine that is busy."""


def main(url: str, told: Path) -> None:
    """Write windows until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    descriptor = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(identities: Sequence[UUID]) -> None:
        os.write(descriptor, "".join(f"{identity}\n" for identity in identities).encode())

    random = np.random.default_rng()
    recorded = 0
    options = RecorderOptions(backoff=Backoff(first_s=0.05, most_s=0.5), timeout_s=2)
    recorder = Recorder(parse_url(url), options, stored=tell)
    with recorder:
        print("writing", flush=True)
        while not stop.wait(EVERY_S):
            recorder.record(random_window(random))
            recorded += 1
        recorder.close(FLUSH_S)
    status = recorder.status()
    print(json.dumps({"recorded": recorded, "stored": status.stored, "dropped": status.dropped}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
