"""What the process that recalibrates does with its task, and that it ends with the service."""

import os
import subprocess
import sys
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import MODEL_FILE
from models.pins import DEFAULT_FILE
from models.store import Store
from service.normalization.recalibration import PROCESS
from service.normalization.recalibration_process import do_task
from service.normalization.recalibration_task import Published, Refusal, Refused, pack_task
from tests.drafts import draft
from tests.service.normalization.tasks import ROWS, rows, task

TIMEOUT_S = 60.0


def test_the_numbers_of_the_task_count(tiny: Store) -> None:
    """None has a meaning of its own here."""
    published = do_task(task(tiny, prior_rows=5, batch_rows=7), rows(8))

    assert isinstance(published, Published)
    assert (published.record.prior_rows, published.record.batch_rows, published.record.rows) == (5, 7, 8)


def test_labels_are_an_array_beside_the_inputs(tiny: Store) -> None:
    """They are told from the inputs by the name that the task gives them."""
    published = do_task(task(tiny, labels="y"), {**rows(), "y": np.arange(ROWS) % 2})

    assert isinstance(published, Published)
    predictions = published.record.outputs[0].predictions
    assert predictions is not None
    assert predictions.accuracy_after is not None


def test_predictions_may_only_collapse_by_force(store: Store) -> None:
    """This network tells rows from far away apart by what its statistics take from them."""
    store.publish(draft(seed=1))
    far = {"x": 8 * (rows()["x"] - 1)}

    refused, published = (do_task(task(store, force=force), far) for force in (False, True))

    assert isinstance(refused, Refused)
    assert "expected predictions about as varied as before" in refused.text
    assert isinstance(published, Published)


@pytest.mark.parametrize(
    ("changes", "arrays", "kind", "sentence"),
    [
        ({}, rows(3), "InvalidRequest", "rows: expected at least 32, got 3; "),
        ({}, {"y": rows()["x"]}, "InvalidRequest", "rows: expected the arrays ['x'], got ['y']"),
        ({"batch_rows": 0}, rows(), "InvalidRequest", "prior_rows, batch_rows: expected "),
        ({"version": 7}, rows(), "NotFound", "tiny: expected one of the versions [1], got 7"),
        ({"model": "none"}, rows(), "NotFound", "expected one of the models ['tiny'], got 'none'"),
    ],
    ids=["too few", "another name", "no batch", "no version", "no model"],
)
def test_what_is_refused_is_told_as_the_kind_of_error_that_it_is(
    unchanged: Store, changes: dict[str, Any], arrays: dict[str, NDArray[Any]], kind: Refusal, sentence: str
) -> None:
    """Each has a status of its own; nothing is published."""
    refused = do_task(task(unchanged, **changes), arrays)

    assert isinstance(refused, Refused)
    assert refused.kind == kind
    assert sentence in refused.text


def test_a_bundle_without_layers_has_nothing_to_recalibrate(store: Store) -> None:
    """The reason is told, not that the rows were wrong."""
    store.publish(draft("plain", layers=(), normalization=()))

    refused = do_task(task(store, model="plain"), rows())

    assert refused == Refused(
        kind="InvalidRequest", text="layers: expected a bundle with normalization layers, got one without"
    )


def test_a_version_that_is_damaged_is_not_ready(unchanged: Store) -> None:
    """Its files are looked at anew: it may have been damaged after it was loaded."""
    (unchanged.bundle_path("tiny", 1) / MODEL_FILE).write_bytes(b"")

    refused = do_task(task(unchanged), rows())

    assert isinstance(refused, Refused)
    assert refused.kind == "NotReady"
    assert refused.text.startswith(MODEL_FILE)


def test_a_store_that_can_not_be_written_to_is_told_as_such(tiny: Store) -> None:
    """It is the service's fault, not that of whoever asked."""
    (tiny.bundle_path("tiny", 1).parent / DEFAULT_FILE).mkdir()

    refused = do_task(task(tiny), rows())

    assert isinstance(refused, Refused)
    assert refused.kind == "StoreUnwritable"
    assert DEFAULT_FILE in refused.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_told_before_any_work(unchanged: Store) -> None:
    """Even rows that would be refused are not looked at."""
    folder = unchanged.bundle_path("tiny", 1).parent
    folder.chmod(0o555)

    refused = do_task(task(unchanged), rows(1))

    folder.chmod(0o755)
    assert isinstance(refused, Refused)
    assert refused.kind == "StoreUnwritable"
    assert refused.text.endswith("the store is read-only here")


def test_a_process_that_has_lost_its_service_takes_back_what_it_began(unchanged: Store) -> None:
    """The system closes the pipe of a service that dies."""
    with subprocess.Popen([sys.executable, "-m", PROCESS], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        answer, complaints = process.communicate(pack_task(task(unchanged), rows()), timeout=TIMEOUT_S)

    assert (process.returncode, answer, complaints) == (1, b"", b"")
