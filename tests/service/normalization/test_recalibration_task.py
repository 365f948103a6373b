"""What the service and the process that recalibrates say to one another arrives as it was said."""

import io
from typing import get_args

import numpy as np
import pytest

from service.errors import EngineError, InvalidRequest
from service.normalization.recalibration_task import (
    REFUSALS,
    RecalibrationTask,
    Refusal,
    Refused,
    pack_answer,
    pack_task,
    read_answer,
    read_task,
)

TASK = RecalibrationTask(
    store="a store", model="tiny", version=3, prior_rows=5, batch_rows=7, force=True, labels="y", data="rows of a test"
)


def test_a_task_arrives_with_its_arrays_whatever_they_are_called() -> None:
    """Names of inputs are those of a graph: slashes, colons, and what numpy calls its own arguments."""
    arrays = {name: np.arange(index + 1, dtype=np.float32) for index, name in enumerate(["file", "a/b:0", "y"])}

    task, found = read_task(io.BytesIO(pack_task(TASK, arrays)))

    assert task == TASK
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_what_follows_a_task_is_left_to_be_read() -> None:
    """The process waits for the end of the same pipe."""
    stream = io.BytesIO(pack_task(TASK, {"x": np.zeros(3)}) + b"more")

    read_task(stream)

    assert stream.read() == b"more"


@pytest.mark.parametrize("kind", get_args(Refusal))
def test_a_refusal_is_raised_as_the_error_that_it_was(kind: Refusal) -> None:
    """Each of them has a status of its own."""
    with pytest.raises(REFUSALS[kind], match="the reason"):
        read_answer(pack_answer(Refused(kind=kind, text="the reason")))


@pytest.mark.parametrize("text", [b"", b"{}", b"Traceback", b'{"kind": "SystemExit", "text": ""}'], ids=str)
def test_what_is_no_answer_is_a_defect_of_the_service(text: bytes) -> None:
    """A process that was killed for its memory says nothing."""
    with pytest.raises(EngineError, match="the process ended without an answer"):
        read_answer(text)


def test_strings_are_refused() -> None:
    """There are no statistics of them."""
    strings = np.array([b"a"], object)

    with pytest.raises(InvalidRequest, match="inputs: expected numbers in 'x', got BYTES"):
        pack_task(TASK, {"x": strings})
