from collections.abc import Iterator

import pytest

from service.inference.run_threads import RunThreads


@pytest.fixture
def run_threads() -> Iterator[RunThreads]:
    """Where graphs run."""
    threads = RunThreads(1)
    yield threads
    threads.close()
