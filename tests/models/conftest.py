from pathlib import Path

import pytest

from models.store import Store
from tests.drafts import draft


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    """A whole bundle."""
    path = tmp_path / "store" / "tiny" / "1"
    path.mkdir(parents=True)
    draft().write(path, version=1)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that nothing was published to."""
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(store: Store) -> Store:
    """A store with version 1 of ``tiny``."""
    store.publish(draft())
    return store
