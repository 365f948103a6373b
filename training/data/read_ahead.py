"""This module reads the next batch in a thread while the one before is computed with, where reading takes long.

What a batch is follows from its place alone, so it is the same whoever reads it, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Place = TypeVar("Place")
Batch = TypeVar("Batch")


def read_one_ahead(read: Callable[[Place], Batch], places: Iterable[Place]) -> Iterator[Batch]:
    """What is read at every place, in their order; an error comes when it is its place's turn.

    Whoever breaks off waits until what is read just then has been.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        ahead: Future[Batch] | None = None
        for place in places:
            current, ahead = ahead, pool.submit(read, place)
            if current is not None:
                yield current.result()
        if ahead is not None:
            yield ahead.result()
