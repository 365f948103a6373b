import asyncio
import shutil

import numpy as np

from models.store import Store
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from service.protocol.messages import InferenceRequest, Tensor
from tests.drafts import draft
from tests.service.inference.registries import answer, by_policy, is_closed, loader_of, ready, refresh

CHANGES = 20
CLIENTS = 8


async def use_until(registry: Registry, done: asyncio.Event, used: list[ServedModel]) -> None:
    """Find the model again and again, and use it across a turn of the loop, as a request does."""
    rows = draft().sample.inputs["x"]
    while not done.is_set():
        with registry.hold("tiny") as served:
            await asyncio.sleep(0)
            assert not is_closed(served)
            request = InferenceRequest(None, [Tensor("x", "FP32", rows)], None, binary_outputs=False)
            answered = await answer(served, request)
        assert answered.model_version == served.version
        used.append(served)


async def change_while_used(registry: Registry, store: Store) -> list[list[ServedModel]]:
    """What each client was answered by while versions came, were promoted, rolled back, and went."""
    done = asyncio.Event()
    used: list[list[ServedModel]] = [[] for _ in range(CLIENTS)]
    clients = [asyncio.create_task(use_until(registry, done, each)) for each in used]
    for change in range(CHANGES):
        await asyncio.to_thread(store.publish, draft(bias=change))
        await registry.refresh()
    for version in ("5", "6", "7"):
        await registry.promote("tiny", version)
    await registry.roll_back("tiny")
    await registry.unpin("tiny")
    await asyncio.to_thread(shutil.rmtree, store.bundle_path("tiny", CHANGES + 1))
    await registry.refresh()
    done.set()
    await asyncio.gather(*clients)
    return used


def test_requests_are_answered_whatever_changes(tiny: Store, run_threads: RunThreads) -> None:
    registry = by_policy(tiny, loader_of(tiny, run_threads), "latest:1")
    refresh(registry)

    used = asyncio.run(change_while_used(registry, tiny))

    assert all(len(each) > CHANGES for each in used)
    assert ready(registry) == [str(CHANGES)]
    assert {served.version for each in used for served in each if not is_closed(served)} <= {str(CHANGES)}
    for each in used:  # while versions only came, nobody ever went back to an older one
        numbers = np.array([int(served.version) for served in each])
        assert np.all(np.diff(numbers[: numbers.argmax() + 1]) >= 0)
