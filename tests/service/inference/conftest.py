from concurrent.futures import Executor

import pytest

from models.store import Store
from service.inference.registry import Registry
from tests.service.inference.registries import loader_of


@pytest.fixture
def registry(store: Store, executor: Executor) -> Registry:
    """The models of the store, none of them loaded yet."""
    return Registry(store, loader_of(store, executor))
