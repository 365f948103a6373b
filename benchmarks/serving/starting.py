"""This module measures how long the service takes from exec until it is ready, against what that can't do without.

The floor is a script that imports FastAPI, ONNX Runtime and uvicorn, opens the session of the demo, and exits: from
exec to exit.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time

from benchmarks.serving.contenders import READY_WITHIN_S, ContenderError, ask, environment, stop
from benchmarks.serving.networks import ROOT, committed, demo
from benchmarks.serving.ports import free_port
from benchmarks.serving.rounds import Keep

CASE = "start"
OURS = "bnserve"
IMPORTS = "imports and a session"
SETUPS = {
    OURS: "`python -m service --device cpu` with the committed bundles, until `/v2/health/ready` is 200",
    IMPORTS: "a script that imports fastapi, onnxruntime and uvicorn and opens the session of `digits`, until it exits",
}
SCRIPT = "import sys, fastapi, onnxruntime, uvicorn; onnxruntime.InferenceSession(sys.argv[1])"
LOOK_EVERY_S = 0.002


def measure(keep: Keep, *, rounds: int) -> None:
    """Start both, in turn."""
    contenders = {IMPORTS: _imports, OURS: _ours}
    for contender in contenders.values():
        contender()  # now every file is in memory
    for number in range(rounds):
        for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            keep(CASE, name, SETUPS[name], number, {"ms": 1e3 * contenders[name]()})


def _imports() -> float:
    started = time.perf_counter()
    command = [sys.executable, "-c", SCRIPT, str(demo().model_path)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment())  # noqa: S603  a script of ours
    return time.perf_counter() - started


def _ours() -> float:
    port = free_port()
    flags = ["--store", str(committed().root), "--device", "cpu", "--port", str(port)]
    request = b"GET /v2/health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  the project's own command
            [sys.executable, "-m", "service", *flags],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
        try:
            while not _is_ready(port, request):
                if time.perf_counter() > started + READY_WITHIN_S:
                    log.seek(0)
                    raise ContenderError(f"expected the service to be ready: {log.read().decode(errors='replace')}")
                time.sleep(LOOK_EVERY_S)
            return time.perf_counter() - started
        finally:
            stop(process)


def _is_ready(port: int, request: bytes) -> bool:
    try:
        ask(port, request)
    except (OSError, http.client.HTTPException, ContenderError):
        return False
    return True
