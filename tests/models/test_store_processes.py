"""This module tests that a store stays whole whoever writes to it at the same time, and whoever dies doing so."""

import functools
import io
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from models.store import Store
from tests.drafts import draft

# a server that has imported everything once; it has no thread that a fork could catch in the middle of something
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["__main__", __name__])

DEADLINE_S = 300
"""How long a process may take before a test gives up on it."""


def publish_thrice(root: Path, start: Barrier, seed: int) -> None:
    start.wait(DEADLINE_S)
    for _ in range(3):
        bundle = Store(root).publish(draft(seed=seed))
        np.testing.assert_array_equal(bundle.sample().inputs["x"], draft(seed=seed).sample.inputs["x"])


def test_four_processes_that_publish_at_once_get_versions_of_their_own(store: Store) -> None:
    start = PROCESSES.Barrier(4)
    publishers = [PROCESSES.Process(target=publish_thrice, args=(store.root, start, seed)) for seed in range(4)]

    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join(DEADLINE_S)

    assert [publisher.exitcode for publisher in publishers] == [0, 0, 0, 0]
    assert store.versions("tiny") == list(range(1, 13))
    samples = [store.open("tiny", version).sample().inputs["x"] for version in range(1, 13)]
    own_samples = [draft(seed=seed).sample.inputs["x"] for seed in range(4)]
    assert [sum(np.array_equal(own, found) for found in samples) for own in own_samples] == [3, 3, 3, 3]
    assert len(list((store.root / "tiny").iterdir())) == 12


CALLS_TO_DISK = {"open", "write", "flush", "fsync", "close", "__exit__", "mkdir", "chmod", "rename", "replace", "rmdir"}


def use_and_be_killed(root: Path, use: Callable[[Store], object], calls: int) -> None:
    """Use a store, and be killed instead of that call to the disk."""
    seen = itertools.count(1)

    def kill_in_time(_frame: FrameType, event: str, function: object) -> None:
        to_disk = getattr(function, "__name__", "") in CALLS_TO_DISK
        in_memory = isinstance(getattr(function, "__self__", None), io.BytesIO)
        if event == "c_call" and to_disk and not in_memory and next(seen) == calls:
            os.kill(os.getpid(), signal.SIGKILL)

    store = Store(root)
    sys.setprofile(kill_in_time)
    use(store)


def kill_at_every_call(root: Path, use: Callable[[Store], object]) -> Iterator[int]:
    """Let process after process use a store and be killed, each one call later, until one is done before that."""
    for calls in itertools.count(1):
        process = PROCESSES.Process(target=use_and_be_killed, args=(root, use, calls))
        process.start()
        process.join(DEADLINE_S)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL
        yield calls


def test_a_publisher_killed_at_any_call_leaves_only_whole_versions(store: Store) -> None:
    publish = functools.partial(Store.publish, draft=draft())
    highest = []

    for _ in kill_at_every_call(store.root, publish):
        highest.append(max(store.versions("tiny"), default=0))
        if highest[-1]:
            store.open("tiny", highest[-1])

    # every one of five files is opened, written, flushed, synced and closed: all that comes before the rename, and
    # leaves no version; what comes after it leaves one more each time
    before, after = highest[: highest.count(0)], highest[highest.count(0) :]
    assert len(before) >= 25
    assert after == list(range(1, len(after) + 1))
    assert len(after) >= 1
    # nor are the leftovers of all of them in anybody's way
    assert store.publish(draft()).manifest.version == len(after) + 2


def test_a_pin_survives_whoever_is_killed_moving_it(tiny: Store) -> None:
    tiny.publish(draft())
    tiny.pin_version("tiny", 1)
    pin_second = functools.partial(Store.pin_version, model="tiny", version=2)
    pins = []

    for _ in kill_at_every_call(tiny.root, pin_second):
        pins.append(tiny.pinned_version("tiny"))
        tiny.pin_version("tiny", 1)

    assert (pins[0], pins[-1], set(pins)) == (1, 2, {1, 2})
    assert tiny.versions("tiny") == [1, 2]


def publish_forever(root: Path, published: Connection) -> None:
    while True:
        published.send(Store(root).publish(draft()).manifest.version)


@pytest.mark.parametrize("last_words", [1, 2, 3, 5, 8])
def test_a_publisher_killed_from_outside_leaves_only_whole_versions(store: Store, last_words: int) -> None:
    published, sender = PROCESSES.Pipe(duplex=False)
    publisher = PROCESSES.Process(target=publish_forever, args=(store.root, sender))
    publisher.start()

    while published.recv() < last_words:
        pass
    publisher.kill()
    publisher.join(DEADLINE_S)

    versions = store.versions("tiny")
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) >= last_words
    assert [store.open("tiny", version).manifest.version for version in versions] == versions
