from collections.abc import Iterator

import pytest

from models.store import Store


@pytest.fixture
def unchanged(tiny: Store) -> Iterator[Store]:
    """A store with version 1 of ``tiny``, in which there is nothing else afterwards either."""
    folder = tiny.bundle_path("tiny", 1).parent
    before = sorted(path.name for path in folder.iterdir())
    yield tiny
    assert sorted(path.name for path in folder.iterdir()) == before
