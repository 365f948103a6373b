"""This module lists the peers: every server, in every set-up that could be its fastest."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.serving.contenders import Contender
from benchmarks.serving.forms import V2, V2_JSON, Form
from benchmarks.serving.networks import Network
from benchmarks.serving.peers import asking
from benchmarks.serving.peers.environments import python_of


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server.

    Attributes:
        name: In the tables.
        module: Of this package; runs it.
        requirements: Its environment; the first one is the server.
        setups: What each is, in one line, by its name.
        forms: How it is asked, by encoding.
        ready_path: What answers 200 once it can be asked, with ``{model}`` for the network's name.
        takes_name: Whether it has to be told what the model is called.
        environment: Further variables.
    """

    name: str
    module: str
    requirements: Sequence[str]
    setups: Mapping[str, str]
    forms: Mapping[str, Form]
    ready_path: str
    takes_name: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def contenders(self) -> Iterator[Contender]:
        """One of each set-up; its environment is made if it is not there.

        Raises:
            ContenderError: If that fails.
        """
        python = python_of(self.module.removesuffix("_server"), self.requirements)
        server = self.requirements[0].replace("==", " ")
        for setup, description in self.setups.items():
            yield Contender(
                f"{self.name}, {setup}",
                f"{server}; {description}",
                partial(self._command, python, setup),
                self.forms,
                self.ready_path,
                self.environment,
            )

    def _command(self, python: Path, setup: str, network: Network, port: int, threads: int) -> list[str]:
        command = [str(python), "-m", f"benchmarks.serving.peers.{self.module}", str(network.model_path)]
        command += ["--port", str(port), "--threads", str(threads), "--setup", setup]
        return [*command, "--name", network.name] if self.takes_name else command


PEERS = (
    Peer(
        "MLServer",
        "mlserver_server",
        ("mlserver==1.7.1", "uvloop==0.21.0"),  # its workers do not start with a newer uvloop
        {
            "one-process": "a custom runtime with NumpyCodec, `parallel_workers` 0",
            "worker": "the same with `parallel_workers` 1, the default",
            "batching": "the same with `parallel_workers` 0, `max_batch_size` 64, `max_batch_time` 0.001",
        },
        {"json": V2_JSON},
        "/v2/health/ready",
        takes_name=True,
    ),
    Peer(
        "LitServe",
        "litserve_server",
        ("litserve==0.2.19", "pyzmq==27.3.0"),
        {
            "one-by-one": "a LitAPI, one worker",
            "batching": "the same with `max_batch_size` 64, `batch_timeout` 0.001",
            "batching-zmq": "the same with `fast_queue`",
        },
        {"json": asking.LITSERVE},
        "/health",
    ),
    Peer(
        "BentoML",
        "bentoml_server",
        ("bentoml==1.4.40",),
        {
            "one-by-one": "a service with numpy input, one worker, its method in a thread",
            "on-loop": "the same with an async method, on the event loop",
            "batching": "the same with a batchable method, `max_batch_size` 64",
        },
        {"json": asking.BENTOML},
        "/readyz",
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "Triton",
        "triton_server",
        ("nvidia-pytriton==0.7.0",),
        {
            "batching": "Triton 2.51, its HTTP front before a Python model, dynamic batching, `max_batch_size` 64",
            "one-by-one": "the same with `max_batch_size` 1",
        },
        V2,
        "/v2/models/{model}/ready",
        takes_name=True,
        # its stub must find the library of the interpreter whose modules it imports, not another one of the system
        environment={"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))},
    ),
)
