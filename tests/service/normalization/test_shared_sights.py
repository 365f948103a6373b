"""Processes show one another what they saw by files, from which all of it comes back."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.store import Store
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.shared_sights import SharedSights
from tests.service.normalization.watching import judge_of, sight_of
from tests.service.observing import normal_rows

VERSION = ("tiny", "1")
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Belongs to all processes of one service."""
    path = tmp_path / "shared"
    path.mkdir()
    return path


def seen(bundle: Bundle, rows: int, *, window: ClosedWindow | None = None) -> Seen:
    """What a process saw."""
    total = sight_of(bundle, normal_rows(rows))
    return Seen(share=0.25, rows_seen=10 * rows, rows_dropped=2, total=total, window=window, open=total)


def in_another_process(do: Callable[[Path, Path], None], folder: Path, store: Path) -> None:
    """Have another process do something with the folder."""
    process = SPAWN.Process(target=do, args=(folder, store))
    process.start()
    process.join(300)
    assert process.exitcode == 0


def _show_forty(folder: Path, store: Path) -> None:
    bundle = Store(store).open("tiny", 1)
    sight = sight_of(bundle, normal_rows(40))
    window = ClosedWindow(sight, judge_of(bundle).judge(sight.moments))
    SharedSights(folder).show({VERSION: (seen(bundle, 40, window=window), 0)})


def _reset(folder: Path, _store: Path) -> None:
    SharedSights(folder).reset(VERSION)


def test_what_another_process_showed_comes_back_whole(folder: Path, tiny: Store, bundle: Bundle) -> None:
    """Moments bit by bit, so that they merge exactly."""
    in_another_process(_show_forty, folder, tiny.root)

    (found,) = SharedSights(folder).others(VERSION)

    sight = sight_of(bundle, normal_rows(40))
    expected = judge_of(bundle).judge(sight.moments)
    assert (found.share, found.rows_seen, found.rows_dropped, found.total.rows) == (0.25, 400, 2, 40)
    assert (found.open.since, found.open.until) == (sight.since, sight.until)
    assert found.window is not None
    assert found.window.judgement == expected
    for one in (found.total, found.open, found.window.sight):
        np.testing.assert_array_equal(one.moments.mean, sight.moments.mean)
        np.testing.assert_array_equal(one.moments.m2, sight.moments.m2)
        np.testing.assert_array_equal(one.moments.count, sight.moments.count)


def test_what_this_process_showed_is_for_the_others(folder: Path, bundle: Bundle) -> None:
    """It knows itself, and would count it twice."""
    sights = SharedSights(folder)

    sights.show({VERSION: (seen(bundle, 3), 0)})

    assert list(sights.others(VERSION)) == []
    assert [path.name for path in folder.iterdir()] == [f"seen-{os.getpid()}.npz"]


def test_of_another_version_nothing_is_found(folder: Path, tiny: Store) -> None:
    """What it sees is another distribution."""
    in_another_process(_show_forty, folder, tiny.root)

    found = [*SharedSights(folder).others(("tiny", "2")), *SharedSights(folder).others(("other", "1"))]

    assert found == []


def test_after_a_reset_what_was_shown_before_counts_no_more(folder: Path, tiny: Store) -> None:
    """Whichever process was asked."""
    in_another_process(_show_forty, folder, tiny.root)
    sights = SharedSights(folder)
    before = len(list(sights.others(VERSION)))

    in_another_process(_reset, folder, tiny.root)

    assert before == 1
    assert sights.stamp(VERSION) > 0
    assert list(sights.others(VERSION)) == []


def test_without_a_reset_the_stamp_is_that_of_none(folder: Path) -> None:
    """Every process begins with it."""
    sights = SharedSights(folder)

    stamp = sights.stamp(VERSION)

    assert stamp == 0


def test_each_reset_has_another_stamp(folder: Path) -> None:
    """Or the second one would be taken for the first."""
    sights, stamps = SharedSights(folder), set[int]()

    for _ in range(3):
        sights.reset(VERSION)
        stamps.add(sights.stamp(VERSION))

    assert len(stamps) == 3


def test_what_was_not_judged_comes_back_so(folder: Path, bundle: Bundle) -> None:
    """And a window that is not there does not come back at all."""
    judged, unjudged = SharedSights(folder), ClosedWindow(sight_of(bundle, normal_rows(4)), None)
    judged.show({VERSION: (seen(bundle, 3), 0), ("tiny", "2"): (seen(bundle, 3, window=unjudged), 0)})
    (path,) = folder.iterdir()
    path.rename(folder / "seen-0.npz")  # as if it were another's

    (without,), (with_window,) = (list(judged.others(version)) for version in (VERSION, ("tiny", "2")))

    assert without.window is None
    assert with_window.window is not None
    assert with_window.window.judgement is None
