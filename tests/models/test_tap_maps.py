"""What a tap holds of its layer is kept with the bundle, and can be undone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.bundle import NORMALIZATION_FILE, Bundle
from models.draft import BundleDraft
from models.errors import BundleError
from models.layers import TapMap
from models.manifest import TapRecord
from models.moments import Array, Moments
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


@given(arrays(np.float64, (20, 2), elements=st.floats(-5, 5)), st.floats(0.1, 4), st.floats(-4, 4))
def test_undone_moments_are_those_of_what_the_layer_took_or_gave(values: Array, scale: float, shift: float) -> None:
    tap_map = TapMap(np.array([scale, -scale]), np.array([shift, shift]))
    held = Moments.of(values * tap_map.scale + tap_map.shift, channel_axis=1)

    undone = tap_map.undo(held)

    expected = Moments.of(values, channel_axis=1)
    # sums of 20 numbers below 25, each rounded by 1e-16, then divided by at least 0.1
    np.testing.assert_allclose(undone.mean, expected.mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(undone.m2, expected.m2, rtol=1e-10, atol=1e-10)


def test_a_channel_of_which_the_tap_tells_nothing_is_no_number() -> None:
    held = Moments(5, np.array([1.0, 7.0, 2.0]), np.array([4.0, 0.0, 1.0]))

    undone = TapMap(SCALE, SHIFT).undo(held)

    assert np.isnan(undone.mean).tolist() == [False, True, False]
    assert undone.mean[0] == 0.0
    assert undone.m2[0] == 1.0
