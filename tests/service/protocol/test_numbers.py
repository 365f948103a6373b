import itertools
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import Datatype
from service.errors import InvalidRequest
from service.protocol.numbers import array_of, json_of
from tests.service.wire import INTEGER_DATATYPES, JSON_DATATYPES, LITTLE_ENDIAN, Array, arrays_of

LIMITS = {datatype: np.iinfo(LITTLE_ENDIAN[datatype]) for datatype in INTEGER_DATATYPES}


@pytest.mark.parametrize("datatype", INTEGER_DATATYPES)
def test_the_limits_of_a_whole_number_fit(datatype: Datatype) -> None:
    limits = LIMITS[datatype]

    array = array_of([limits.max, 0, limits.min], datatype, "data")

    assert (array.dtype, array.tolist()) == (np.dtype(LITTLE_ENDIAN[datatype]), [limits.max, 0, limits.min])


@pytest.mark.parametrize("datatype", INTEGER_DATATYPES)
@pytest.mark.parametrize("beyond", [-1, 1])
@pytest.mark.parametrize("neighbours", [[], [0], [1, 2, 3]])
def test_a_whole_number_beyond_the_limits_is_refused(datatype: Datatype, beyond: int, neighbours: list[int]) -> None:
    limits = LIMITS[datatype]
    data = [*neighbours, int(limits.min if beyond < 0 else limits.max) + beyond]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, datatype, "inputs[0].data")

    assert str(refusal.value).startswith("inputs[0].data")
    assert "expected" in str(refusal.value)
    assert datatype in str(refusal.value)


def test_the_refusal_names_the_number_that_does_not_fit() -> None:
    data = [[1, 2], [3, 256]]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "UINT8", "inputs[0].data")

    assert str(refusal.value) == "inputs[0].data[1][1]: expected a value that UINT8 can hold, got 256"


@pytest.mark.parametrize("number", [1e39, -1e39, 3.5e38, 1e308, 10**39])
def test_a_number_that_fp32_can_not_hold_is_refused(number: float) -> None:
    data = [1.5, number]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "FP32", "inputs[0].data")

    assert str(refusal.value).startswith("inputs[0].data[1]: expected a value that FP32 can hold, got ")


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_a_whole_number_that_no_float_can_hold_is_refused(datatype: Datatype) -> None:
    data = [1, 10**400]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, datatype, "inputs[0].data")

    assert str(refusal.value).startswith("inputs[0].data")


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_whole_numbers_fit_where_fractions_do(datatype: Datatype) -> None:
    data = [1, -2, 0.5, 2**63, 2**64 - 1]

    array = array_of(data, datatype, "data")

    assert array.tolist() == [1.0, -2.0, 0.5, 2.0**63, 2.0**64]


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_nan_and_infinity_fit_floats(datatype: Datatype) -> None:
    data = [float("nan"), float("inf"), float("-inf")]

    array = array_of(data, datatype, "data")

    np.testing.assert_array_equal(array, np.array(data, LITTLE_ENDIAN[datatype]), strict=True)


MISFITS: dict[str, Any] = {
    "null": None,
    "string": "1",
    "object": {"a": 1},
    "true": True,
    "fraction": 0.5,
    "whole-fraction": 1.0,
    "nan": float("nan"),
    "infinity": float("inf"),
}
FITTING: dict[str, set[str]] = {"FP32": {"fraction", "whole-fraction", "nan", "infinity"}, "BOOL": {"true"}}


@pytest.mark.parametrize(
    ("datatype", "misfit"),
    [
        (datatype, misfit)
        for datatype, misfit in itertools.product(("BOOL", "UINT8", "INT64", "UINT64", "FP32"), MISFITS)
        if misfit not in FITTING.get(datatype, ())
    ],
)
@pytest.mark.parametrize("among", ["alone", "first", "last"])
def test_what_is_no_number_of_the_datatype_is_refused(datatype: Datatype, misfit: str, among: str) -> None:
    fitting, wrong = [True if datatype == "BOOL" else 1], [MISFITS[misfit]]
    data = {"alone": wrong, "first": wrong + fitting, "last": fitting + wrong}[among]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, datatype, "inputs[0].data")

    index = 1 if among == "last" else 0
    kind = {"BOOL": "true or false", "FP32": "a number"}.get(datatype, "a whole number")
    shown = json.dumps(MISFITS[misfit])
    assert str(refusal.value) == f"inputs[0].data[{index}]: expected {kind} ({datatype}), got {shown}"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([*range(17), "x", *range(5)], "data[17]"),
        ([[[1, 2], [3, 4]], [[5, 6], ["x", 8]]], "data[1][1][0]"),
        ([["x"]], "data[0][0]"),
    ],
)
def test_the_refusal_names_what_is_wrong_and_where_it_lies_in_its_lists(data: list[Any], place: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "FP32", "data")

    assert str(refusal.value) == f'{place}: expected a number (FP32), got "x"'


@pytest.mark.parametrize("number", [0, 1, 0.0])
def test_a_number_is_no_bool(number: float) -> None:
    data = [True, number]

    with pytest.raises(InvalidRequest, match=r"^data\[1\]: expected true or false \(BOOL\), got [01]"):
        array_of(data, "BOOL", "data")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([[1], [2, 3]], "data[1]: expected a list of 1, as the first one is, got [2, 3]"),
        ([[], [1]], "data[1]: expected a list of 0, as the first one is, got [1]"),
        ([[1], 2], "data[1]: expected a list of 1, as the first one is, got 2"),
        ([1, [2]], "data[1]: expected a number (FP32), got [2]"),
        ([[[1]], [[1], [2]]], "data[1]: expected a list of 1, as the first one is, got [[1], [2]]"),
        ([[[1]], [1]], "data[1][0]: expected a list of 1, as the first one is, got 1"),
    ],
)
def test_ragged_lists_are_refused_where_they_are(data: list[Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "FP32", "data")

    assert str(refusal.value) == sentence


@pytest.mark.parametrize("data", [1, None, "1", {"0": 1}, True])
def test_what_is_no_list_is_refused(data: object) -> None:
    where = "inputs[0].data"

    with pytest.raises(InvalidRequest, match=r"^inputs\[0\]\.data: expected a list, got "):
        array_of(data, "FP32", where)


@pytest.mark.parametrize("data", [[], [[]], [[], []], [[[], []]]])
@pytest.mark.parametrize("datatype", JSON_DATATYPES)
def test_empty_lists_are_empty_arrays_of_any_datatype(datatype: Datatype, data: list[Any]) -> None:
    dtype = np.dtype(LITTLE_ENDIAN[datatype])

    array = array_of(data, datatype, "data")

    assert (array.shape, array.dtype) == ((0,), dtype)


def test_half_precision_is_refused() -> None:
    data = [1.0]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "FP16", "inputs[0].data")

    assert str(refusal.value) == "inputs[0].data: expected FP16 as binary data, got JSON"


def test_strings_are_read_as_utf_8() -> None:
    data = [["a", ""], ["\u20ac", "\0"]]

    array = array_of(data, "BYTES", "data")

    assert array.tolist() == [b"a", b"", b"\xe2\x82\xac", b"\0"]


@pytest.mark.parametrize("misfit", [1, None, True, {}, "\ud800"])
def test_what_is_no_string_is_refused(misfit: object) -> None:
    data = ["a", misfit]

    with pytest.raises(InvalidRequest) as refusal:
        array_of(data, "BYTES", "inputs[0].data")

    assert str(refusal.value).startswith("inputs[0].data[1]: expected a string ")
    assert "(BYTES), got " in str(refusal.value)


def test_nested_lists_are_read_row_by_row() -> None:
    data = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]

    array = array_of(data, "INT32", "data")

    assert array.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_long_string_among_numbers_takes_no_more_memory_than_the_request() -> None:
    data = ["x" * 10_000, *range(1_000)]
    tracemalloc.start()

    with pytest.raises(InvalidRequest):
        array_of(data, "FP32", "data")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the request is some 15 kB; giving each of its numbers the room of the string takes 40 MB
    assert peak < 1_000_000


@given(st.sampled_from([datatype for datatype in JSON_DATATYPES if datatype != "BYTES"]).flatmap(arrays_of))
def test_any_array_is_written_as_a_flat_list_of_its_numbers(array: Array) -> None:
    expected = array.reshape(-1)

    written = json_of(array)

    numbers = json.loads(written)
    assert isinstance(numbers, list)
    np.testing.assert_array_equal(np.array(numbers, array.dtype), expected, strict=True)


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_nan_and_infinity_are_written_as_bare_literals(datatype: Datatype) -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.0], LITTLE_ENDIAN[datatype])

    written = json_of(array)

    assert written.replace(b" ", b"") == b"[NaN,Infinity,-Infinity,1.0]"


def test_a_float_is_written_with_no_more_digits_than_it_has() -> None:
    array = np.array([0.1, 1 / 3], np.float32)

    written = json_of(array)

    assert written == b"[0.1,0.33333334]"


def test_booleans_are_written_as_booleans() -> None:
    array = np.array([[True], [False]])

    written = json_of(array)

    assert written == b"[true,false]"
