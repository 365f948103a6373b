import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from models.store import Store
from service.inference.watch import changes
from tests.drafts import draft

DEADLINE_S = 60
"""How long a test waits for a change before it gives up."""

NEVER_S = 3600.0
"""An interval so long that only the file system can have told of a change."""

SOON_S = 0.05


async def next_of(iterator: AsyncIterator[None]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await anext(iterator)


async def publish_until_told(store: Store, iterator: AsyncIterator[None]) -> int:
    """Publish until the iterator yields: whatever comes before the folder is watched is not told of."""
    told = asyncio.ensure_future(anext(iterator))
    published = 0
    async with asyncio.timeout(DEADLINE_S):
        while not told.done():
            await asyncio.to_thread(store.publish, draft())
            published += 1
            await asyncio.wait([told], timeout=0.5)
    await told
    return published


@asynccontextmanager
async def watching(*folders: Path, interval_s: float) -> AsyncIterator[AsyncIterator[None]]:
    """Changes that are no longer looked for when the block ends."""
    iterator = changes(*folders, interval_s=interval_s)
    assert isinstance(iterator, AsyncGenerator)
    async with aclosing(iterator):
        yield iterator


def test_it_yields_at_once(tiny: Store) -> None:
    async def first() -> bool:
        async with watching(tiny.root, interval_s=NEVER_S) as iterator:
            await next_of(iterator)
            return True

    told = asyncio.run(first())

    assert told


def test_it_yields_at_once_where_there_is_no_folder(store: Store) -> None:
    async def first() -> bool:
        async with watching(store.root, interval_s=NEVER_S) as iterator:
            await next_of(iterator)
            return store.root.exists()

    existed = asyncio.run(first())

    assert not existed


def test_it_yields_after_a_version_was_published(tiny: Store) -> None:
    async def published() -> int:
        async with watching(tiny.root, interval_s=NEVER_S) as iterator:
            await next_of(iterator)
            return await publish_until_told(tiny, iterator)

    count = asyncio.run(published())

    assert tiny.versions("tiny")[-1] == count + 1


def test_it_goes_on_yielding(tiny: Store) -> None:
    async def published() -> list[int]:
        async with watching(tiny.root, interval_s=NEVER_S) as iterator:
            await next_of(iterator)
            return [await publish_until_told(tiny, iterator) for _ in range(3)]

    counts = asyncio.run(published())

    assert len(counts) == 3


def test_it_yields_at_the_interval_where_nothing_changes(tiny: Store) -> None:
    async def yielded() -> int:
        count = 0
        async with watching(tiny.root, interval_s=SOON_S) as iterator:
            while count < 3:
                await next_of(iterator)
                count += 1
        return count

    times = asyncio.run(yielded())

    assert times == 3


def test_it_waits_for_a_folder_that_is_not_there_yet(store: Store) -> None:
    async def published() -> int:
        async with watching(store.root, interval_s=SOON_S) as iterator:
            for _ in range(3):
                await next_of(iterator)
            return await publish_until_told(store, iterator)

    count = asyncio.run(published())

    assert store.versions("tiny") == list(range(1, count + 1))


@pytest.mark.parametrize("order", [1, -1])
def test_it_yields_after_a_change_in_any_of_several_folders(tiny: Store, tmp_path: Path, order: int) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def published() -> int:
        async with watching(*[tiny.root, other][::order], interval_s=NEVER_S) as iterator:
            await next_of(iterator)
            return await publish_until_told(tiny, iterator)

    count = asyncio.run(published())

    assert tiny.versions("tiny")[-1] == count + 1


def test_it_waits_for_one_folder_while_it_watches_another(store: Store, tmp_path: Path) -> None:
    async def published() -> int:
        async with watching(tmp_path, store.root, interval_s=SOON_S) as iterator:
            for _ in range(3):
                await next_of(iterator)
            return await publish_until_told(store, iterator)

    count = asyncio.run(published())

    assert store.versions("tiny") == list(range(1, count + 1))


def test_it_outlives_the_folder(tiny: Store) -> None:
    async def came_back() -> int:
        async with watching(tiny.root, interval_s=SOON_S) as iterator:
            for _ in range(2):
                await next_of(iterator)
            shutil.rmtree(tiny.root)
            for _ in range(3):
                await next_of(iterator)
            return await publish_until_told(tiny, iterator)

    count = asyncio.run(came_back())

    assert tiny.versions("tiny") == list(range(1, count + 1))


def test_it_ends_when_whoever_waits_for_it_is_cancelled(tiny: Store) -> None:
    async def cancelled() -> bool:
        iterator = changes(tiny.root, interval_s=NEVER_S)
        await next_of(iterator)
        waiting = asyncio.ensure_future(anext(iterator))
        await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([waiting])
        return waiting.cancelled()

    ended = asyncio.run(cancelled())

    assert ended
