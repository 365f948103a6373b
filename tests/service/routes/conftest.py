from collections.abc import Iterator

import pytest

from models.bundle import MODEL_FILE
from models.store import Store
from tests.drafts import draft
from tests.service.running import Service, in_process


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two versions of ``tiny``, a model without normalization layers, and one whose only version is damaged."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.publish(draft())
    store.publish(draft(seed=1, bias=5.0))
    store.publish(draft("plain", layers=(), normalization=()))
    (store.publish(draft("broken")).path / MODEL_FILE).write_bytes(b"")
    return store


@pytest.fixture(scope="module")
def service(shared_store: Store) -> Iterator[Service]:
    """The service on that store; tests of one module share it, so none changes the store."""
    with in_process(shared_store.root) as running:
        yield running


@pytest.fixture
def empty_service(store: Store) -> Iterator[Service]:
    """The service on a store that does not exist."""
    with in_process(store.root) as running:
        yield running
