"""This module is the service with observation set in three ways: off, by its budget, and of every row."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.serving.contenders import LOOK_EVERY_S, OURS, READY_WITHIN_S, ContenderError
from benchmarks.serving.networks import Network


def wait_until_observed(network: Network, port: int) -> None:
    """Wait until rows are observed: the graph that does is opened once the service is ready.

    Raises:
        ContenderError: If they are not in time; the text has the reason.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/v2/models/{network.name}/normalization")
        reason = json.loads(connection.getresponse().read())["observation"]["reason"]
        connection.close()
        if reason is None:
            return
        if time.monotonic() > deadline:
            raise ContenderError(f"expected rows to be observed within {READY_WITHIN_S:g} s: {reason}")
        time.sleep(LOOK_EVERY_S)


def _every(network: Network, port: int, threads: int) -> Sequence[str]:
    return [*OURS.command(network, port, threads), "--observe-share", "1"]


def _off(network: Network, port: int, threads: int) -> Sequence[str]:
    return [*OURS.command(network, port, threads), "--observe-share", "0"]


OFF = replace(OURS, name="observation off", setup="`--observe-share 0`", command=_off)
BY_BUDGET = replace(OURS, name="by its budget", setup="all settings at their defaults", settle=wait_until_observed)
EVERY_ROW = replace(OURS, name="every row", setup="`--observe-share 1`", command=_every, settle=wait_until_observed)
