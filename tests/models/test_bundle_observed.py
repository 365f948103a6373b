"""This module tests what a bundle holds to observe its layers with, and what of it is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import CALIBRATION_FILE, Arrays, Bundle
from models.calibration_arrays import to_arrays
from models.errors import BundleError
from models.layers import TapMap
from models.taps import TapUnits
from tests.damage import replace_arrays, replace_file
from tests.drafts import draft, observed_by, uncalibrated


def test_the_columns_are_the_layers_channels_in_the_units_of_their_taps(tmp_path: Path) -> None:
    """A folded layer's output is beta at the training mean, and gamma more a deviation above."""
    written = draft()
    written.write(tmp_path, version=1)

    columns = Bundle.open(tmp_path).columns()

    assert columns is not None
    assert columns.slices == (slice(0, 3),)
    np.testing.assert_array_equal(columns.center, written.normalization[0].beta)
    np.testing.assert_array_equal(columns.scale, written.normalization[0].gamma)


def test_the_columns_of_a_mapped_tap_are_in_the_units_of_what_it_holds(tmp_path: Path) -> None:
    """The bundle's own map counts, not only the side of the tap."""
    tiny = draft()
    (record,), (layer,) = tiny.layers, tiny.normalization
    tap_map = TapMap(np.array([2.0, 0.0, -0.5]), np.array([1.0, 0.0, 3.0]))
    mapped = record.model_copy(update={"tap": record.tap.model_copy(update={"mapped": True})})
    draft(layers=(mapped,), tap_maps={record.name: tap_map}).write(tmp_path, version=1)

    columns = Bundle.open(tmp_path).columns()

    expected = TapUnits.of(layer, "output", tap_map)
    assert columns is not None
    np.testing.assert_array_equal(columns.center, expected.center)
    np.testing.assert_array_equal(columns.scale, expected.scale)


def test_a_bundle_without_layers_has_nothing_to_observe(tmp_path: Path) -> None:
    """No columns, no probe and no calibration: none of the three is an error."""
    draft(layers=(), normalization=()).write(tmp_path, version=1)

    bundle = Bundle.open(tmp_path)

    assert (bundle.columns(), bundle.observing_graph(), bundle.calibration()) == (None, None, None)


def test_the_observing_graph_is_the_model_and_then_its_probe(tmp_path: Path) -> None:
    """Two messages of protocol buffers one after the other are one message."""
    written = draft()
    written.write(tmp_path, version=1)

    graph = Bundle.open(tmp_path).observing_graph()

    assert graph == written.model + observed_by(written).probe


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Number by number."""
    written = draft(seed=3)
    written.write(tmp_path, version=1)

    calibration = Bundle.open(tmp_path).calibration()

    expected_calibration = observed_by(written).calibration
    assert calibration is not None
    assert expected_calibration is not None
    found, expected = to_arrays(calibration), to_arrays(expected_calibration)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_a_probe_may_come_without_a_calibration(tmp_path: Path) -> None:
    """Where there were no rows to hold out, layers are observed but not scored."""
    draft(observing=uncalibrated()).write(tmp_path, version=1)

    bundle = Bundle.open(tmp_path)

    assert bundle.observing_graph() is not None
    assert bundle.calibration() is None


def without(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.pop(name)


def with_array(name: str, array: NDArray[Any]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: array})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without("sizes"), "expected an array 'sizes', got none"),
        (with_array("surplus", np.zeros(1)), "surplus: this array is not known"),
        (with_array("0/mean", np.zeros(8)), "0/mean: expected float64 of shape (6,), got float64 of shape (8,)"),
        (with_array("0/mean", np.full(6, np.nan)), "0/mean: expected finite numbers, got NaN or infinity"),
        (with_array("1/mean", np.zeros(6)), "1/mean: this array is not known"),
    ],
    ids=["missing", "unknown", "shape", "NaN", "a layer too many"],
)
def test_a_damaged_calibration_is_named(bundle_path: Path, change: Callable[[Arrays], object], problem: str) -> None:
    """The file and the array, although the manifest vouches for them."""
    replace_arrays(bundle_path, CALIBRATION_FILE, change)
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.calibration()

    assert str(caught.value) == f"{CALIBRATION_FILE}: {problem}"


def test_a_calibration_that_is_no_archive_is_named(bundle_path: Path) -> None:
    """What numpy can't read is refused like what it can."""
    replace_file(bundle_path, CALIBRATION_FILE, b"not an archive")
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError, match=rf"^{CALIBRATION_FILE}: expected an archive of plain arrays"):
        bundle.calibration()
