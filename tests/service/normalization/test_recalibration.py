"""Recalibration beside the service: what it publishes, what it refuses, and that nothing is left of it."""

import asyncio
import fcntl
from pathlib import Path

import pytest

from models.store import Store
from service.errors import DeadlineExceeded, InvalidRequest, Overloaded
from service.normalization.recalibration import Recalibrations
from service.normalization.recalibration_task import Published
from tests.service.normalization.tasks import ROWS, rows, task

TIMEOUT_S = 60.0


def test_a_candidate_is_published_with_the_record_that_is_told(tiny: Store, tmp_path: Path) -> None:
    """What the service hears is what the manifest says; the file that is held meanwhile is free for the next worker."""
    lock = tmp_path / "recalibration"

    published = asyncio.run(Recalibrations(TIMEOUT_S, lock).run(task(tiny), rows()))

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    record = tiny.open("tiny", 2).manifest.recalibration
    assert record is not None
    assert published == Published(version=2, record=record)
    assert (record.source_version, record.rows, record.data) == (1, ROWS, "rows of a test")
    assert tiny.pins("tiny") == (1,)


def test_one_that_takes_too_long_is_stopped_and_publishes_nothing(unchanged: Store) -> None:
    """The deadline is that of the settings."""
    with pytest.raises(DeadlineExceeded, match=r"at most 0.01 s \(recalibration_timeout_s\), it was stopped"):
        asyncio.run(Recalibrations(0.01).run(task(unchanged), rows()))


def test_one_that_nobody_waits_for_any_more_is_stopped(unchanged: Store) -> None:
    """As at the end of the service."""

    async def give_up() -> None:
        running = asyncio.create_task(Recalibrations(TIMEOUT_S).run(task(unchanged), rows()))
        await asyncio.wait([running], timeout=0.05)
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(give_up())


def test_a_second_one_at_a_time_is_refused_and_the_first_goes_on(tiny: Store) -> None:
    """Each takes what CPUs there are."""

    async def two() -> list[Published | BaseException]:
        recalibrations = Recalibrations(TIMEOUT_S)
        both = (recalibrations.run(task(tiny), rows()) for _ in range(2))
        return await asyncio.gather(*both, return_exceptions=True)

    first, second = asyncio.run(two())

    assert isinstance(first, Published)
    assert isinstance(second, Overloaded)
    assert second.retry_after_s >= 1


def test_a_refusal_of_the_process_is_one_of_the_service_and_the_next_one_may_come(tiny: Store) -> None:
    """The turn is given back however one ended. Which refusals there are: test_recalibration_process.py."""

    async def one_after_the_other() -> Published:
        recalibrations = Recalibrations(TIMEOUT_S)
        with pytest.raises(InvalidRequest, match="rows: expected at least 32, got 3; "):
            await recalibrations.run(task(tiny), rows(3))
        return await recalibrations.run(task(tiny), rows())

    published = asyncio.run(one_after_the_other())

    assert published.version == 2


def test_one_under_way_in_another_process_of_the_service_is_one_too_many(unchanged: Store, tmp_path: Path) -> None:
    """Workers have a file in common."""
    lock = tmp_path / "recalibration"

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Overloaded):
            asyncio.run(Recalibrations(TIMEOUT_S, lock).run(task(unchanged), rows()))
