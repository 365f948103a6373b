"""This module tests what scores and thresholds a calibration gives; how one is found is tested with folding."""

import math
from dataclasses import replace

import numpy as np
import pytest

from models.calibration import GROUP_CHANNELS, Calibration, LayerCalibration, features, groups
from models.layers import NormalizationLayer
from models.stacked_moments import StackedMoments
from tests.models.observed import columns_of, layer

ONE, OTHER = layer("one", 2), layer("other", 1)
COLUMNS = columns_of(ONE, OTHER)


def calibration() -> Calibration:
    """Two layers of 2 and 1 channels; rows are independent, of mean 0 and mean square 1, like unit normal values."""
    return Calibration(
        rows=1000,
        layers=tuple(_standard(one) for one in (ONE, OTHER)),
        sizes=(32, 128, 512),
        expected=np.array([[1.0, 2.0], [1.5, 2.5], [2.0, 3.0]]),
        spread=np.array([[0.5, 1.0], [0.5, 1.0], [0.25, 0.5]]),
        rates=np.array([0.1, 0.01, 0.001]),
        thresholds=np.array([[1.0, 2.0, 4.0], [1.1, 2.1, 4.1], [1.3, 2.3, 4.3]]),
    )


def _standard(one: NormalizationLayer) -> LayerCalibration:
    mean = np.repeat([0.0, 1.0], one.channels)
    return LayerCalibration(mean, (np.eye(2 * one.channels, dtype=np.float32),))


def window(rows: int, mean: list[float], mean_square: list[float]) -> StackedMoments:
    """A window whose three columns have a mean and a mean square in training deviations."""
    means = np.array(mean)
    variance = np.array(mean_square) - np.square(means)
    return StackedMoments(rows, np.full(3, float(rows)), means, rows * variance)


def test_the_features_are_means_and_then_mean_squares() -> None:
    """Both about the training mean, so that they add up over rows."""
    found = features(np.array([[2.0, -1.0]]), np.array([[3.0, 0.5]]))

    assert found.tolist() == [[2.0, -1.0, 7.0, 1.5]]


def test_features_of_rows_average_to_those_of_their_window() -> None:
    """Where every row has equally many values: that makes a window's features a mean of independent ones."""
    rng = np.random.default_rng(0)
    values = rng.normal(1, 2, size=(10, 3, 4))  # rows, channels, positions

    rows = features(values.mean(axis=2), values.var(axis=2))

    whole = values.transpose(1, 0, 2).reshape(3, -1)
    np.testing.assert_allclose(rows.mean(axis=0), features(whole.mean(axis=1), whole.var(axis=1)), rtol=1e-12)


def test_channels_that_cannot_be_observed_have_features_of_zero() -> None:
    """They are at no distance, whatever happens in them."""
    found = features(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]))

    assert found.tolist() == [0.0, 1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("channels", "sizes"),
    [(1, [2]), (GROUP_CHANNELS, [64]), (GROUP_CHANNELS + 1, [64, 2]), (3 * GROUP_CHANNELS - 1, [64, 64, 62])],
)
def test_groups_have_every_feature_once_and_both_of_a_channel(channels: int, sizes: list[int]) -> None:
    """A channel's mean and its mean square are in one group."""
    parts = groups(channels)

    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate(parts)) == list(range(2 * channels))
    for part in parts:
        assert set(part % channels) == set(part[: len(part) // 2])


def test_whitened_features_are_grouped_products() -> None:
    """Each group is multiplied by its own matrix, whatever axes come before."""
    rng = np.random.default_rng(1)
    channels = GROUP_CHANNELS + 1
    matrices = tuple(rng.normal(size=(size, size)).astype(np.float32) for size in (64, 2))
    mean, found = rng.normal(size=2 * channels), rng.normal(size=(2, 5, 2 * channels))

    white = LayerCalibration(mean, matrices).whiten(found)

    away = found - mean
    expected = [away[..., part] @ matrix for part, matrix in zip(groups(channels), matrices, strict=True)]
    # sums of 64 products below 10, each rounded by 6e-8
    np.testing.assert_allclose(white, np.concatenate(expected, axis=-1), rtol=0, atol=1e-4)


def test_a_window_at_the_mean_is_less_than_expected() -> None:
    """T2 is 0 there, and the score how far below the mean of chance that is."""
    scores = calibration().scores(window(32, [0, 0, 0], [1, 1, 1]), COLUMNS)

    assert scores.tolist() == [-1.0 / 0.5, -2.0 / 1.0]


def test_the_score_is_the_cube_root_of_rows_times_distance() -> None:
    """Of 128 rows: means off by 0.25 and 0.5, a mean square off by 0.5, so distance 0.0625 + 0.25 + 0.25 at one."""
    scores = calibration().scores(window(128, [0.25, -0.5, 0], [1.5, 1, 1]), COLUMNS)

    # float32 features
    np.testing.assert_allclose(scores, [(math.cbrt(128 * 0.5625) - 1.5) / 0.5, -2.5], rtol=1e-6)


def test_a_change_moves_the_score_of_its_layer_alone() -> None:
    """The layers' scores are read beside one another to tell where something moved."""
    unmoved, moved = (calibration().scores(window(64, [0, 0, mean], [1, 1, 1]), COLUMNS) for mean in (0.0, 2.0))

    assert unmoved[0] == moved[0]
    assert moved[1] > unmoved[1] + 2


def test_what_cannot_be_observed_counts_for_nothing() -> None:
    """A window whose hidden column is NaN scores like one at the mean features of 0 that such a column has."""
    known = calibration()
    hidden = replace(known.layers[1], mean=np.zeros(2))
    found = window(32, [0, 0, math.nan], [1, 1, 1])

    scores = replace(known, layers=(known.layers[0], hidden)).scores(found, COLUMNS)

    assert scores.tolist() == [-2.0, -2.0]


@pytest.mark.parametrize(("rows", "covered"), [(31, False), (32, True), (100, True), (512, True), (513, False)])
def test_windows_of_sizes_between_those_that_were_drawn_can_be_scored(rows: int, covered: bool) -> None:
    """And of no others: beyond them nothing is known."""
    assert calibration().covers(rows) is covered


def test_windows_of_more_rows_than_were_held_out_cannot_be_scored() -> None:
    """There the error that all windows share would decide, and the rate would hold for no single network."""
    few = replace(calibration(), rows=200)

    assert few.most_rows == 200
    assert (few.covers(200), few.covers(201)) == (True, False)


@pytest.mark.parametrize(
    ("rows", "rate", "threshold"),
    [
        (32, 0.1, 1.0),
        (32, 0.001, 4.0),
        (512, 0.01, 2.3),
        (64, 0.01, 2.05),  # half way between 32 and 128 in logarithms
        (256, 0.1, 1.2),
        (32, 0.1 / math.sqrt(10), 1.5),  # half way between a tenth and a hundredth
        (128, 0.001 * math.sqrt(10), 3.1),
    ],
)
def test_thresholds_lie_between_those_that_are_known(rows: int, rate: float, threshold: float) -> None:
    """Of sizes and of rates both in logarithms, in which normal quantiles are nearly straight."""
    assert calibration().threshold(rows, rate) == pytest.approx(threshold, rel=1e-12)


def test_rarer_alarms_have_higher_thresholds() -> None:
    """Over all rates that are known."""
    rates = np.geomspace(0.1, 0.001, 30)

    thresholds = [calibration().threshold(100, rate) for rate in rates]

    assert (np.diff(thresholds) > 0).all()
