from pathlib import Path

import pytest
from hypothesis import settings

from models.store import Store
from tests.drafts import draft

# a slow example on a busy machine is no failure
settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that nothing was published to."""
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(store: Store) -> Store:
    """A store with version 1 of ``tiny``."""
    store.publish(draft())
    return store
