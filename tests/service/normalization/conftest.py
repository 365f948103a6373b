from collections.abc import Iterator

import pytest

from models.bundle import Bundle
from models.store import Store
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from tests.service.inference.registries import loader_of


@pytest.fixture
def unchanged(tiny: Store) -> Iterator[Store]:
    """A store with version 1 of ``tiny``, in which there is nothing else afterwards either."""
    folder = tiny.bundle_path("tiny", 1).parent
    before = sorted(path.name for path in folder.iterdir())
    yield tiny
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.fixture
def bundle(tiny: Store) -> Bundle:
    """Version 1 of ``tiny``, which has a probe and a calibration."""
    return tiny.open("tiny", 1)


@pytest.fixture
def served(tiny: Store, run_threads: RunThreads) -> ServedModel:
    """The same, loaded."""
    return loader_of(tiny, run_threads)("tiny", 1)
