"""This module makes registries for tests, and looks at them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from models.bundle import MODEL_FILE
from models.store import Store
from service.figures import VersionFigures
from service.inference.control import Control
from service.inference.devices import CPU, choose_device
from service.inference.limits import ServingLimits
from service.inference.loading import Loader
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.inference.versions import parse_policies
from service.protocol.messages import InferenceAnswer, InferenceRequest
from tests.drafts import draft

Load = Callable[[str, int], ServedModel]

LIMITS = ServingLimits(
    max_batch_rows=8,
    max_batch_delay_ms=0.0,
    max_queue_requests=100,
    request_timeout_ms=0,
    inline_below_ms=0.5,
    warm_up_s=0.0,
)

DEADLINE_S = 60
"""How long a test waits for another thread before it gives up."""


class Gate:
    """A loader that waits at one version until it is let through."""

    def __init__(self, load: Load, version: int) -> None:
        self._load = load
        self._version = version
        self._reached = threading.Event()
        self._open = threading.Event()

    def load(self, name: str, number: int) -> ServedModel:
        """Load a version, this one when it may."""
        if number == self._version:
            self._reached.set()
            assert self._open.wait(DEADLINE_S)
        return self._load(name, number)

    async def reached(self) -> None:
        """Wait until the version is being loaded."""
        assert await asyncio.to_thread(self._reached.wait, DEADLINE_S)

    def open(self) -> None:
        """Let the version through."""
        self._open.set()


class Recorder:
    """A loader that remembers which versions it was asked for."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.asked: list[int] = []

    def load(self, name: str, number: int) -> ServedModel:
        """Load a version."""
        self.asked.append(number)
        return self._load(name, number)


def loader_of(store: Store, run_threads: RunThreads) -> Load:
    """What loads a version for real, on the CPU."""
    loader = Loader(
        device=choose_device("cpu", [CPU]),
        threads=1,
        limits=LIMITS,
        run_threads=run_threads,
        observer=lambda _model, _version: VersionFigures(),
    )
    return lambda name, number: loader.load(store.open(name, number))


async def answer(served: ServedModel, request: InferenceRequest) -> InferenceAnswer:
    """Have a served model answer a client that waits as long as it takes."""
    job = served.submit(request, deadline=None)
    return served.answer(request, job, await served.outcome(job, asyncio.Event().wait))


def by_policy(store: Store, load: Load, policies: str) -> Registry:
    """The models of a store by version policies, none of them loaded yet."""
    return Registry(store, load, Control(parse_policies(policies)))


def refresh(registry: Registry) -> None:
    asyncio.run(registry.refresh())


def while_loading(registry: Registry, gate: Gate, look: Callable[[], object]) -> object:
    """What is seen while the gate's version is being loaded."""

    async def seen() -> object:
        refreshing = asyncio.create_task(registry.refresh())
        try:
            await gate.reached()
            return look()
        finally:
            gate.open()
            await refreshing

    return asyncio.run(seen())


def states(registry: Registry) -> dict[tuple[str, str], str]:
    return {(state.name, state.version): state.state for state in registry.index()}


def ready(registry: Registry, name: str = "tiny") -> list[str]:
    return registry.ready_versions(name)


def is_closed(served: ServedModel) -> bool:
    """Whether a model that was loaded for a test was closed."""
    return served.closed


def reason(registry: Registry, version: int) -> str:
    return next(state.reason for state in registry.index() if state.version == str(version))


def publish(store: Store, count: int) -> None:
    for _ in range(count):
        store.publish(draft())


def mend(store: Store, version: int) -> None:
    """Undo ``damage``."""
    path = store.bundle_path("tiny", version) / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1])


def damage(store: Store, version: int) -> None:
    """Let the graph of a version be another than the one that was published."""
    with (store.bundle_path("tiny", version) / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
