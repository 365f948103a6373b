from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from models.store import Store
from tests.drafts import draft


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that nothing was published to."""
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(store: Store) -> Store:
    """A store with version 1 of ``tiny``."""
    store.publish(draft())
    return store


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Where graphs run."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        yield threads
