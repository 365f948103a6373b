"""What is said of how far recalibration moved statistics and answers."""

from __future__ import annotations

import numpy as np
import pytest

from folding.comparison import compare_outputs, describe_layer, distance, has_classes, refuse_collapse
from folding.errors import RecalibrationError
from models.datatypes import Datatype
from models.layers import NormalizationLayer
from models.manifest import TensorRecord
from models.recalibration import OutputChangeRecord


def output(*shape: int, datatype: Datatype = "FP32") -> TensorRecord:
    return TensorRecord(name="y", datatype=datatype, shape=(-1, *shape))


def scores(*classes: int, of: int = 3) -> np.ndarray:
    """Rows of which each has its largest score at a class."""
    return np.eye(of, dtype=np.float32)[list(classes)]


def change(before: np.ndarray, after: np.ndarray, **known: object) -> OutputChangeRecord:
    """What is said of one output with three classes."""
    options = {"class_names": None, "labels": None} | known
    (found,) = compare_outputs([output(3)], {"y": before}, {"y": after}, **options)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (output(2), True),
        (output(1), False),
        (output(-1), False),
        (output(2, 3), False),
        (output(2, datatype="INT64"), False),
    ],
    ids=["two scores", "one number", "any number", "a map", "whole numbers"],
)
def test_an_output_has_classes_where_it_holds_a_score_for_each_of_several(record: TensorRecord, expected: bool) -> None:
    found = has_classes(record)

    assert found is expected


def test_predictions_are_counted_by_class_before_and_after() -> None:
    found = change(scores(0, 0, 1, 2), scores(0, 1, 1, 1), labels=np.array([0, 1, 1, 2])).predictions

    assert found is not None
    assert (found.before, found.after) == ({"0": 2, "1": 1, "2": 1}, {"0": 1, "1": 3})
    assert (found.agreement, found.accuracy_before, found.accuracy_after) == (0.5, 0.75, 0.75)
    assert found.entropy_before == pytest.approx(1.5 * np.log(2))


def test_classes_have_their_names_where_there_are_as_many() -> None:
    named = change(scores(0, 2), scores(2, 2), class_names=("cat", "dog", "cow")).predictions
    unnamed = change(scores(0, 2), scores(2, 2), class_names=("cat", "dog")).predictions

    assert named is not None
    assert unnamed is not None
    assert (named.before, named.after) == ({"cat": 1, "cow": 1}, {"cow": 2})
    assert unnamed.after == {"2": 2}


def test_an_output_without_classes_is_compared_by_its_values() -> None:
    before, after = np.array([[2.0, -4.0]]), np.array([[2.0, -3.0]])

    (found,) = compare_outputs([output(2, 1)], {"y": before}, {"y": after}, class_names=None, labels=None)

    assert (found.relative_difference, found.predictions) == (0.25, None)


def test_predictions_that_stay_varied_are_no_collapse() -> None:
    found = change(scores(0, 1, 2, 0), scores(0, 0, 2, 0))

    refuse_collapse([found])

    assert found.predictions is not None
    assert found.predictions.entropy_after > 0


def test_predictions_of_one_class_were_none_to_lose() -> None:
    found = change(scores(1, 1), scores(2, 2))

    refuse_collapse([found])

    assert found.predictions is not None
    assert found.predictions.agreement == 0


def test_predictions_that_collapse_are_refused_by_output() -> None:
    found = change(scores(0, 1, 2), scores(1, 1, 1))

    with pytest.raises(RecalibrationError, match=r"^y: expected predictions about as varied as before, entropy 1\.10"):
        refuse_collapse([found])


def test_a_layer_is_described_by_its_channels() -> None:
    old = NormalizationLayer("n", 0.0, np.ones(2), np.zeros(2), np.zeros(2), np.array([4.0, 1.0]))
    new = NormalizationLayer("n", 1.0, np.ones(2), np.zeros(2), np.array([-2.0, 0.5]), np.array([4.0, 0.0]))

    record = describe_layer("n", distance(old, new))

    assert (record.mean_absolute_shift, record.max_absolute_shift) == (0.75, 1.0)
    assert (record.min_ratio, record.max_ratio) == (0.0, 1.0)
    assert record.mean_symmetric_kl == pytest.approx(1.0)  # of the first; the other varies no more
