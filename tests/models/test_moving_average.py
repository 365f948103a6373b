"""What a fit left in a layer is kept with the bundle, and measured in the units of the layer's statistics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import NORMALIZATION_FILE, Bundle
from models.errors import BundleError
from models.layers import NormalizationLayer
from models.moments import Array
from models.moving_average import MovingAverage
from tests.committed import BUNDLES
from tests.damage import replace_arrays
from tests.drafts import draft

LEFT = MovingAverage(np.array([1.0, -2.0, 0.0]), np.array([0.5, 0.0, 4.0]))
LAYER = NormalizationLayer(
    "norm", 1.0, np.ones(3), np.zeros(3), mean=np.array([1.0, 0.0, 3.0]), variance=np.array([3.0, 0.0, 8.0])
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A bundle of a network that was fitted."""
    replace(draft(), moving_averages={"norm": LEFT}).write(tmp_path, version=1)
    return tmp_path


def test_moving_averages_are_read_as_they_were_written(path: Path) -> None:
    found = Bundle.open(path).moving_averages()

    assert list(found) == ["norm"]
    np.testing.assert_array_equal(found["norm"].mean, LEFT.mean)
    np.testing.assert_array_equal(found["norm"].variance, LEFT.variance)


def test_they_leave_the_layer_as_it_is(path: Path) -> None:
    (layer,) = draft().normalization

    (found,) = Bundle.open(path).normalization()

    np.testing.assert_array_equal(found.mean, layer.mean)
    np.testing.assert_array_equal(found.variance, layer.variance)


def test_a_network_that_others_fitted_has_none(tmp_path: Path) -> None:
    draft().write(tmp_path, version=1)

    found = Bundle.open(tmp_path).moving_averages()

    assert found == {}


@pytest.mark.parametrize("committed", BUNDLES, ids=lambda path: path.parent.name)
def test_a_bundle_from_before_they_were_kept_has_none(committed: Path) -> None:
    found = Bundle.open(committed).moving_averages()

    assert found == {}


@pytest.mark.parametrize("field", ["moving_mean", "moving_var"])
def test_one_without_the_other_is_refused(path: Path, field: str) -> None:
    replace_arrays(path, NORMALIZATION_FILE, lambda arrays: arrays.pop(f"norm/{field}"))

    with pytest.raises(BundleError, match=rf"^{NORMALIZATION_FILE}: expected an array 'norm/{field}', got none$"):
        Bundle.open(path).moving_averages()


def test_those_of_other_channels_than_the_layer_s_are_refused(path: Path) -> None:
    replace_arrays(path, NORMALIZATION_FILE, lambda arrays: arrays.update({"norm/moving_var": np.ones(2)}))

    with pytest.raises(BundleError, match=rf"^{NORMALIZATION_FILE}: norm/moving_var: expected float64 of shape \(3,\)"):
        Bundle.open(path).moving_averages()


def test_those_that_are_no_numbers_are_refused_with_their_layer(path: Path) -> None:
    replace_arrays(path, NORMALIZATION_FILE, lambda arrays: arrays.update({"norm/moving_var": -np.ones(3)}))

    with pytest.raises(BundleError, match=rf"^{NORMALIZATION_FILE}: norm/moving: expected a finite mean"):
        Bundle.open(path).moving_averages()


@pytest.mark.parametrize(
    ("mean", "variance"),
    [
        (np.array([np.nan]), np.ones(1)),
        (np.zeros(1), np.array([np.inf])),
        (np.zeros(1), np.array([-1.0])),
        (np.zeros(2), np.ones(3)),
    ],
    ids=["NaN", "infinity", "negative", "shapes"],
)
def test_what_can_be_no_moving_average_is_none(mean: Array, variance: Array) -> None:
    with pytest.raises(ValueError, match=r"^expected (a finite mean|mean and variance of one shape)"):
        MovingAverage(mean, variance)


def test_its_distance_is_in_deviations_and_in_variances_of_the_layer_with_eps() -> None:
    """Deviations are 2, 1 and 3; variances with eps 4, 1 and 9."""
    distance = LEFT.distance(LAYER)

    assert distance.shift.tolist() == [0.0, -2.0, -1.0]
    assert distance.ratio.tolist() == [1.5 / 4, 1.0, 5 / 9]
