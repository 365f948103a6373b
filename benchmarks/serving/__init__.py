"""This package measures the service: against what its parts can do alone, and against its peers.

    python -m benchmarks.serving client      what the load generator can do, so that it is not what is measured
    python -m benchmarks.serving serve       against session.run and the smallest server that answers the same
    python -m benchmarks.serving decode      reading large JSON, against the parser alone
    python -m benchmarks.serving start       exec to ready, against what has to be imported and opened anyway
    python -m benchmarks.serving peers       against MLServer, LitServe, BentoML and Triton
    python -m benchmarks.serving page        one page of the last run of each

Every measurement is kept as one line of JSON. What is compared was measured in turn, in one run.

    networks.py         what is served; forms.py asks for it, byte by byte
    load.py             the load generator, a process of its own; connection.py, ticks.py
    contenders.py       starts, checks and stops a server; floor.py is one, session.py is none
    rounds.py           contenders in turn; decoding.py, starting.py measure without load
    peers/              the other servers, each set up in an environment of its own
    results.py          what was measured; targets.py, page.py say what it means
"""

from __future__ import annotations

import os

# ONNX Runtime's wheels send telemetry unless told not to; this has to be said before onnxruntime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
