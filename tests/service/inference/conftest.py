import pytest

from models.store import Store
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from tests.service.inference.registries import loader_of


@pytest.fixture
def registry(store: Store, run_threads: RunThreads) -> Registry:
    """The models of the store, none of them loaded yet."""
    return Registry(store, loader_of(store, run_threads))
