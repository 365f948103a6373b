"""This module makes registries for tests, and looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from models.bundle import MODEL_FILE, Bundle
from models.store import Store
from service.inference.devices import CPU, choose_device
from service.inference.engine import Engine
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from tests.drafts import draft

Load = Callable[[str, int], ServedModel]

DEADLINE_S = 20
"""How long a test waits for another thread before it gives up."""


def loader_of(store: Store, executor: Executor) -> Load:
    """What loads a version for real, on the CPU."""

    def open_engine(bundle: Bundle) -> Engine:
        return Engine(bundle.model_path, choose_device("cpu", [CPU]), threads=1)

    def load(name: str, number: int) -> ServedModel:
        return ServedModel.load(store.open(name, number), open_engine, executor)

    return load


def refresh(registry: Registry) -> None:
    asyncio.run(registry.refresh())


def states(registry: Registry) -> dict[tuple[str, str], str]:
    return {(state.name, state.version): state.state for state in registry.index()}


def reason(registry: Registry, version: int) -> str:
    return next(state.reason for state in registry.index() if state.version == str(version))


def publish(store: Store, count: int) -> None:
    for _ in range(count):
        store.publish(draft())


def damage(store: Store, version: int) -> None:
    """Let the graph of a version be another than the one that was published."""
    with (store.bundle_path("tiny", version) / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
