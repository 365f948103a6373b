"""What a tap holds of its layer is kept with the bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import NORMALIZATION_FILE, Bundle
from models.draft import BundleDraft
from models.errors import BundleError
from models.layers import TapMap
from models.manifest import TapRecord
from models.moments import Array
from tests.drafts import draft

SCALE, SHIFT = np.array([2.0, 0.0, -0.5]), np.array([1.0, 0.0, 3.0])


def mapped(tap_map: TapMap | None) -> BundleDraft:
    """A draft whose manifest says that its layer's tap is mapped, and that has such a map or none."""
    plain = draft()
    (record,) = plain.layers
    tap = TapRecord(tensor="norm", side="output", channel_axis=1, mapped=True)
    return replace(
        plain,
        layers=(record.model_copy(update={"tap": tap}),),
        tap_maps={} if tap_map is None else {record.name: tap_map},
    )


def test_a_map_is_read_as_it_was_written(tmp_path: Path) -> None:
    mapped(TapMap(SCALE, SHIFT)).write(tmp_path, version=1)

    found = Bundle.open(tmp_path).tap_maps()

    assert list(found) == ["norm"]
    np.testing.assert_array_equal(found["norm"].scale, SCALE)
    np.testing.assert_array_equal(found["norm"].shift, SHIFT)


def test_a_layer_whose_tap_shows_it_as_it_is_has_no_map(tmp_path: Path) -> None:
    draft().write(tmp_path, version=1)

    found = Bundle.open(tmp_path).tap_maps()

    assert found == {}


def test_a_map_that_is_missing_is_named(tmp_path: Path) -> None:
    mapped(None).write(tmp_path, version=1)

    with pytest.raises(BundleError, match=rf"^{NORMALIZATION_FILE}: expected an array 'norm/tap_scale', got none$"):
        Bundle.open(tmp_path).tap_maps()


def test_a_map_of_other_channels_than_the_layer_is_refused(tmp_path: Path) -> None:
    mapped(TapMap(np.ones(2), np.zeros(2))).write(tmp_path, version=1)

    with pytest.raises(BundleError, match=rf"^{NORMALIZATION_FILE}: norm/tap_scale: expected float64 of shape \(3,\)"):
        Bundle.open(tmp_path).tap_maps()


@pytest.mark.parametrize(
    ("scale", "shift"),
    [(np.array([np.nan]), np.zeros(1)), (np.ones(1), np.array([np.inf])), (np.ones(2), np.zeros(3))],
    ids=["NaN", "infinity", "shapes"],
)
def test_a_map_that_is_none_is_refused(scale: Array, shift: Array) -> None:
    with pytest.raises(ValueError, match=r"^expected (finite scale and shift|scale and shift of one shape)"):
        TapMap(scale, shift)
