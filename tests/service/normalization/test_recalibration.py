"""Recalibration beside the service: what it publishes, what it refuses, and that nothing is left of it."""

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import MODEL_FILE
from models.pins import DEFAULT_FILE
from models.store import Store
from service.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    NotReady,
    Overloaded,
    ServiceError,
    StoreUnwritable,
)
from service.normalization.recalibration import PROCESS, Recalibrations
from service.normalization.recalibration_task import Published, RecalibrationTask, pack_task
from tests.drafts import INPUTS, draft

TIMEOUT_S = 60.0
ROWS = 64


def rows(count: int = ROWS) -> dict[str, NDArray[np.float32]]:
    """Rows that are further apart than those of training, and elsewhere."""
    return {"x": np.random.default_rng(1).normal(1.0, 2.0, (count, INPUTS)).astype(np.float32)}


def task(store: Store, **changes: Any) -> RecalibrationTask:  # noqa: ANN401
    """Version 1 of ``tiny``, by force: what a network with random weights predicts says nothing."""
    fields = {"store": str(store.root), "model": "tiny", "version": 1, "force": True, "data": "rows of a test"}
    return RecalibrationTask(**{**fields, **changes})


def recalibrate(wanted: RecalibrationTask, arrays: dict[str, NDArray[Any]], timeout_s: float = TIMEOUT_S) -> Published:
    return asyncio.run(Recalibrations(timeout_s).run(wanted, arrays))


@pytest.fixture
def unchanged(tiny: Store) -> Iterator[Store]:
    """A store with version 1 of ``tiny``, in which there is nothing else afterwards either."""
    folder = tiny.bundle_path("tiny", 1).parent
    before = sorted(path.name for path in folder.iterdir())
    yield tiny
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_candidate_is_published_with_the_record_that_is_told(tiny: Store) -> None:
    """What the service hears is what the manifest says."""
    published = recalibrate(task(tiny), rows())

    record = tiny.open("tiny", 2).manifest.recalibration
    assert record is not None
    assert published == Published(version=2, record=record)
    assert (record.source_version, record.rows, record.data) == (1, ROWS, "rows of a test")
    assert tiny.pins("tiny") == (1,)


def test_labels_are_an_array_beside_the_inputs(tiny: Store) -> None:
    """They are told from the inputs by the name that the task gives them."""
    labels = np.arange(ROWS) % 2

    published = recalibrate(task(tiny, labels="y"), {**rows(), "y": labels})

    predictions = published.record.outputs[0].predictions
    assert predictions is not None
    assert predictions.accuracy_after is not None


def test_the_numbers_of_the_task_count(tiny: Store) -> None:
    """None is lost on the way to the other process."""
    published = recalibrate(task(tiny, prior_rows=5, batch_rows=7), rows(8))

    assert (published.record.prior_rows, published.record.batch_rows, published.record.rows) == (5, 7, 8)


def refusals() -> list[tuple[dict[str, Any], dict[str, NDArray[Any]], type[ServiceError], str]]:
    strings = np.empty((1, 1), object)
    return [
        ({}, rows(3), InvalidRequest, "rows: expected at least 32, got 3; "),
        ({}, {"y": rows()["x"]}, InvalidRequest, r"rows: expected the arrays \['x'\], got \['y'\]"),
        ({}, {"x": strings}, InvalidRequest, "inputs: expected numbers in 'x', got BYTES"),
        ({"batch_rows": 0}, rows(), InvalidRequest, "prior_rows, batch_rows: expected "),
        ({"version": 7}, rows(), NotFound, r"tiny: expected one of the versions \[1\], got 7"),
        ({"model": "none"}, rows(), NotFound, "expected one of the models "),
    ]


@pytest.mark.parametrize(("changes", "arrays", "kind", "sentence"), refusals(), ids=lambda part: str(part)[:30])
def test_what_is_refused_is_told_as_the_kind_of_error_that_it_is(
    unchanged: Store,
    changes: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    kind: type[ServiceError],
    sentence: str,
) -> None:
    """The other process's errors become those of the service; nothing is published."""
    with pytest.raises(kind, match=sentence):
        recalibrate(task(unchanged, **changes), arrays)


def test_a_version_that_is_damaged_is_not_ready(unchanged: Store) -> None:
    """Its files are looked at anew: it may have been damaged after it was loaded."""
    (unchanged.bundle_path("tiny", 1) / MODEL_FILE).write_bytes(b"")

    with pytest.raises(NotReady, match=MODEL_FILE):
        recalibrate(task(unchanged), rows())


def test_a_store_that_can_not_be_written_to_is_told_as_such(tiny: Store) -> None:
    """It is the service's fault, not that of whoever asked."""
    (tiny.bundle_path("tiny", 1).parent / DEFAULT_FILE).mkdir()

    with pytest.raises(StoreUnwritable, match=DEFAULT_FILE):
        recalibrate(task(tiny), rows())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_told_before_any_work(unchanged: Store) -> None:
    """Even rows that would be refused are not looked at."""
    folder = unchanged.bundle_path("tiny", 1).parent
    folder.chmod(0o555)

    try:
        with pytest.raises(StoreUnwritable, match="the store is read-only here"):
            recalibrate(task(unchanged), rows(1))
    finally:
        folder.chmod(0o755)


def test_one_that_takes_too_long_is_stopped_and_publishes_nothing(unchanged: Store) -> None:
    """The deadline is that of the settings."""
    with pytest.raises(DeadlineExceeded, match=r"at most 0.01 s \(recalibration_timeout_s\), it was stopped"):
        recalibrate(task(unchanged), rows(), timeout_s=0.01)


def test_one_that_nobody_waits_for_any_more_is_stopped(unchanged: Store) -> None:
    """As at the end of the service."""

    async def give_up() -> None:
        running = asyncio.create_task(Recalibrations(TIMEOUT_S).run(task(unchanged), rows()))
        await asyncio.wait([running], timeout=0.05)
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(give_up())


def test_a_process_that_has_lost_its_service_takes_back_what_it_began(unchanged: Store) -> None:
    """The system closes the pipe of a service that dies."""
    with subprocess.Popen([sys.executable, "-m", PROCESS], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        answer, complaints = process.communicate(pack_task(task(unchanged), rows()), timeout=TIMEOUT_S)

    assert (process.returncode, answer, complaints) == (1, b"", b"")


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


def test_the_next_one_may_come_when_one_is_over_however_it_ended(tiny: Store) -> None:
    """The turn is given back."""

    async def one_after_the_other() -> Published:
        recalibrations = Recalibrations(TIMEOUT_S)
        with pytest.raises(InvalidRequest):
            await recalibrations.run(task(tiny), rows(1))
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


def test_where_the_file_is_free_one_runs_and_frees_it(tiny: Store, tmp_path: Path) -> None:
    """The next worker may hold it."""
    lock = tmp_path / "recalibration"

    published = asyncio.run(Recalibrations(TIMEOUT_S, lock).run(task(tiny), rows()))

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert published.version == 2


def test_one_that_serves_a_draft_without_layers_has_nothing_to_recalibrate(store: Store) -> None:
    """The reason is told, not that the rows were wrong."""
    store.publish(draft("plain", layers=(), normalization=()))

    with pytest.raises(InvalidRequest, match="layers: expected a bundle with normalization layers, got one without"):
        recalibrate(task(store, model="plain"), rows())
