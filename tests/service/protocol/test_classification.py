import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.classification import classify
from service.protocol.encode import encode_answer
from service.protocol.messages import InferenceAnswer, Tensor
from tests.service.wire import LITTLE_ENDIAN, Array, arrays_of, read_answer

ROWS = np.array([[0.25, 3.0, -1.5], [2.0, 2.0, 5.0]], np.float32)


def test_the_best_classes_come_with_value_index_and_label() -> None:
    tensor = Tensor("y", "FP32", ROWS)

    classes = classify(tensor, 2, ["cat", "dog", "owl"])

    assert (classes.name, classes.datatype) == ("y", "BYTES")
    assert classes.array.tolist() == [
        [b"3.000000:1:dog", b"0.250000:0:cat"],
        [b"5.000000:2:owl", b"2.000000:0:cat"],
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(None, [b"3.000000:1", b"0.250000:0", b"-1.500000:2"]), (["a"], [b"3.000000:1", b"0.250000:0:a", b"-1.500000:2"])],
)
def test_a_class_without_a_label_has_none(labels: list[str] | None, expected: list[bytes]) -> None:
    tensor = Tensor("y", "FP32", ROWS[:1])

    classes = classify(tensor, 3, labels)

    assert classes.array.tolist() == [expected]


@pytest.mark.parametrize(
    ("shape", "k", "expected"),
    [
        ((2, 3), 1, (2, 1)),
        ((2, 3), 7, (2, 3)),
        ((2, 3, 4), 7, (2, 7)),
        ((2, 3, 4), 100, (2, 12)),
        ((5,), 3, (5, 1)),
        ((), 3, (1, 1)),
        ((0, 3), 2, (0, 0)),
        ((2, 0), 2, (2, 0)),
    ],
)
def test_all_but_the_first_dimension_are_classes(shape: tuple[int, ...], k: int, expected: tuple[int, ...]) -> None:
    tensor = Tensor("y", "FP32", np.ones(shape, np.float32))

    classes = classify(tensor, k, None)

    assert classes.array.shape == expected


def test_nan_comes_last_and_equal_values_by_their_index() -> None:
    values = np.array([[np.nan, 1.0, np.inf, 1.0, -np.inf, -0.0, 0.0]], np.float64)
    tensor = Tensor("y", "FP64", values)

    classes = classify(tensor, 7, None)

    assert classes.array.tolist() == [
        [b"inf:2", b"1.000000:1", b"1.000000:3", b"-0.000000:5", b"0.000000:6", b"-inf:4", b"nan:0"]
    ]


@pytest.mark.parametrize(
    ("datatype", "values", "expected"),
    [
        ("UINT8", [0, 255, 7], [b"255:1", b"7:2", b"0:0"]),
        ("INT64", [-(2**63), 2**63 - 1, 0], [b"9223372036854775807:1", b"0:2", b"-9223372036854775808:0"]),
        ("UINT64", [0, 2**64 - 1, 1], [b"18446744073709551615:1", b"1:2", b"0:0"]),
        ("FP16", [0.5, 2.0, -1.0], [b"2.000000:1", b"0.500000:0", b"-1.000000:2"]),
        ("BF16", [0x3F80, 0xBF80, 0x4000], [b"2.000000:2", b"1.000000:0", b"-1.000000:1"]),
    ],
)
def test_numbers_of_other_datatypes_are_classified(
    datatype: Datatype, values: list[int | float], expected: list[bytes]
) -> None:
    tensor = Tensor("y", datatype, np.array([values], LITTLE_ENDIAN[datatype]))

    classes = classify(tensor, 3, None)

    assert classes.array.tolist() == [expected]


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL"])
def test_what_is_no_number_is_not_classified(datatype: Datatype) -> None:
    tensor = Tensor("y", datatype, np.zeros((1, 2), LITTLE_ENDIAN[datatype]))

    with pytest.raises(InvalidRequest) as refusal:
        classify(tensor, 1, None)

    assert str(refusal.value) == f"outputs: expected numbers in 'y', which is to be classified, got {datatype}"


def test_more_strings_than_an_answer_can_carry_are_refused() -> None:
    tensor = Tensor("y", "UINT8", np.zeros((2, 1_000_000), np.uint8))

    with pytest.raises(InvalidRequest) as refusal:
        classify(tensor, 500_001, None)

    assert str(refusal.value) == (
        "outputs: expected a classification of 'y' with at most 1000000 strings, got 2 rows of 500001"
    )


@pytest.mark.parametrize("binary", [frozenset[str](), frozenset({"y"})])
def test_classes_go_as_json_or_as_bytes(binary: frozenset[str]) -> None:
    classes = classify(Tensor("y", "FP32", ROWS), 1, ["a", "b", "\u00e9"])

    encoded = encode_answer(InferenceAnswer("tiny", "1", None, [classes], binary))

    _, outputs = read_answer(encoded.body, encoded.header_length)
    assert outputs["y"].tolist() == [[b"3.000000:1:b"], ["5.000000:2:\u00e9".encode()]]


CLASSIFIED: list[Datatype] = ["INT8", "UINT16", "FP16", "FP64"]
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 8))


@given(st.sampled_from(CLASSIFIED).flatmap(lambda datatype: arrays_of(datatype, SHAPES)), st.integers(1, 9))
def test_no_class_that_is_left_out_is_better_than_one_that_is_given(array: Array, k: int) -> None:
    (datatype,) = [each for each in CLASSIFIED if array.dtype == LITTLE_ENDIAN[each]]

    classes = classify(Tensor("y", datatype, array), k, None)

    for row, strings in zip(array.tolist(), classes.array.tolist(), strict=True):
        indices = [int(string.split(b":")[1]) for string in strings]
        assert indices == best_of(row)[:k]


def best_of(row: list[float]) -> list[int]:
    """The indices of a row's values by falling value, NaN last."""
    numbers = [index for index, value in enumerate(row) if not math.isnan(value)]
    return sorted(numbers, key=lambda index: -row[index]) + [i for i, value in enumerate(row) if math.isnan(value)]
