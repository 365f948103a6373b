from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Where graphs run."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        yield threads
