"""This module tests that a calibration is read from arrays as it was, and what of them is refused."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibration import GROUP_CHANNELS, Calibration, LayerCalibration
from models.calibration_arrays import from_arrays, to_arrays

CHANNELS = (GROUP_CHANNELS + 1, 2)
"""Of two layers: the first has a group of 32 channels and one of a single one."""

SIZES, RATES = (32, 128, 512), np.array([0.1, 0.01])

Array = NDArray[Any]


def calibration() -> Calibration:
    """One whose every number is another."""
    rng = np.random.default_rng(0)

    def layer(channels: int, *groups: int) -> LayerCalibration:
        whitening = tuple(rng.normal(size=(2 * size, 2 * size)).astype(np.float32) for size in groups)
        return LayerCalibration(rng.normal(size=2 * channels), whitening)

    return Calibration(
        rows=100,
        layers=(layer(CHANNELS[0], GROUP_CHANNELS, 1), layer(CHANNELS[1], 2)),
        sizes=SIZES,
        expected=rng.normal(size=(3, 2)),
        spread=rng.uniform(0.5, 1, size=(3, 2)),
        rates=RATES,
        thresholds=rng.normal(size=(3, 2)),
    )


def test_a_calibration_is_read_from_its_arrays_as_it_was() -> None:
    """Number by number, type by type."""
    written = calibration()

    read = from_arrays(to_arrays(written), CHANNELS)

    assert (read.rows, read.sizes) == (written.rows, written.sizes)
    found, expected = to_arrays(read), to_arrays(written)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_the_arrays_of_a_layer_are_named_after_its_number() -> None:
    """And those of a group of channels after the group's."""
    names = set(to_arrays(calibration()))

    assert names == {
        *("rows", "sizes", "expected", "spread", "rates", "thresholds"),
        *("0/mean", "0/whitening/0", "0/whitening/1", "1/mean", "1/whitening/0"),
    }


@pytest.mark.parametrize("name", sorted(to_arrays(calibration())))
def test_an_array_that_is_missing_is_named(name: str) -> None:
    """Whichever it is."""
    arrays = to_arrays(calibration())
    del arrays[name]

    with pytest.raises(ValueError, match=rf"^expected an array '{name}', got none$"):
        from_arrays(arrays, CHANNELS)


@pytest.mark.parametrize("name", sorted(to_arrays(calibration())))
def test_an_array_of_another_shape_is_refused(name: str) -> None:
    """One axis more is another shape, also of what has as many numbers as it likes."""
    arrays = to_arrays(calibration())
    arrays[name] = arrays[name][None]

    with pytest.raises(ValueError, match=rf"^{name}: expected .* of shape \(.*\), got .* of shape \(1,"):
        from_arrays(arrays, CHANNELS)


@pytest.mark.parametrize("name", sorted(to_arrays(calibration())))
def test_an_array_of_another_type_is_refused(name: str) -> None:
    """Numbers are what they were written as."""
    arrays = to_arrays(calibration())
    arrays[name] = arrays[name].astype(np.float16)

    with pytest.raises(ValueError, match=rf"^{name}: expected (int64|float64|float32) of shape .*, got float16"):
        from_arrays(arrays, CHANNELS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["expected", "spread", "rates", "thresholds", "0/mean", "0/whitening/1"])
def test_an_array_that_is_not_finite_is_refused(name: str, value: float) -> None:
    """A score of such an array would be no number, and no number is beyond no threshold."""
    arrays = to_arrays(calibration())
    arrays[name] = arrays[name].copy()
    arrays[name].flat[-1] = value

    with pytest.raises(ValueError, match=rf"^{name}: expected finite numbers, got NaN or infinity$"):
        from_arrays(arrays, CHANNELS)


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        ("sizes", np.array([32]), "expected two or more, ascending from 1, got [32]"),
        ("sizes", np.array([32, 32, 512]), "expected two or more, ascending from 1, got [32, 32, 512]"),
        ("sizes", np.array([0, 128, 512]), "expected two or more, ascending from 1, got [0, 128, 512]"),
        ("rates", np.zeros(0), "expected one or more, descending, above 0, got []"),
        ("rates", np.array([0.01, 0.1]), "expected one or more, descending, above 0, got [0.01, 0.1]"),
        ("rates", np.array([0.1, 0.0]), "expected one or more, descending, above 0, got [0.1, 0.0]"),
        ("spread", np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), "expected numbers above 0, got 0"),
        ("surplus", np.zeros(3), "this array is not known"),
        ("2/mean", np.zeros(4), "this array is not known"),
        ("1/whitening/1", np.zeros((2, 2), np.float32), "this array is not known"),
    ],
    ids=[
        *("one size", "a size twice", "no rows", "no rate", "rates ascending", "a rate of 0", "no spread"),
        *("surplus", "a layer too many", "a group too many"),
    ],
)
def test_what_no_calibration_says_is_refused(name: str, array: Array, problem: str) -> None:
    """The array is named, and what it holds is told."""
    arrays = to_arrays(calibration()) | {name: array}

    with pytest.raises(ValueError, match=rf"^{re.escape(f'{name}: {problem}')}$"):
        from_arrays(arrays, CHANNELS)


@pytest.mark.parametrize(
    "channels", [(GROUP_CHANNELS + 1,), (GROUP_CHANNELS + 1, 3), (GROUP_CHANNELS, 2), (*CHANNELS, 1)]
)
def test_a_calibration_of_other_layers_is_refused(channels: tuple[int, ...]) -> None:
    """As many layers of as many channels as the manifest has, and no others."""
    with pytest.raises(ValueError, match=r"expected|not known"):
        from_arrays(to_arrays(calibration()), channels)
