"""On the CPU, which the runtime addresses as it does a GPU."""

import numpy as np
import onnxruntime
import pytest

from service.inference.device_memory import MAX_PLACES, DeviceMemory
from service.inference.devices import CPU
from tests.drafts import draft


@pytest.fixture
def session() -> onnxruntime.InferenceSession:
    """The graph of a draft."""
    return onnxruntime.InferenceSession(draft().model, providers=[CPU])


def rows(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)


def test_answers_are_those_of_a_plain_run_whatever_ran_before(session: onnxruntime.InferenceSession) -> None:
    memory = DeviceMemory(session, "cpu", 0)

    for count in (1, 7, 1, 2, 7, 7):
        (answer,) = memory.run({"x": rows(count)}, ["logits"])

        np.testing.assert_array_equal(answer, session.run(["logits"], {"x": rows(count)})[0], strict=True)


def test_answers_stay_what_they_are_when_others_follow(session: onnxruntime.InferenceSession) -> None:
    memory = DeviceMemory(session, "cpu", 0)
    (first,) = memory.run({"x": rows(3)}, ["logits"])
    kept = first.copy()

    memory.run({"x": -rows(3)}, ["logits"])

    np.testing.assert_array_equal(first, kept)


def test_rows_need_not_lie_one_behind_the_other(session: onnxruntime.InferenceSession) -> None:
    memory = DeviceMemory(session, "cpu", 0)
    x = np.asfortranarray(rows(5))

    (answer,) = memory.run({"x": x}, ["logits"])

    np.testing.assert_array_equal(answer, session.run(["logits"], {"x": rows(5)})[0])


def test_more_shapes_than_there_are_places_are_answered_too(session: onnxruntime.InferenceSession) -> None:
    memory = DeviceMemory(session, "cpu", 0)

    shapes = [memory.run({"x": rows(count)}, ["logits"])[0].shape for count in range(1, 2 * MAX_PLACES)]

    assert shapes == [(count, 2) for count in range(1, 2 * MAX_PLACES)]


def test_what_the_runtime_refuses_is_raised(session: onnxruntime.InferenceSession) -> None:
    memory = DeviceMemory(session, "cpu", 0)

    with pytest.raises(Exception, match="nothing"):
        memory.run({"x": rows(1)}, ["nothing"])
