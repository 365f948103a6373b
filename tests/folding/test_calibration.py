"""This module tests that alarms are as rare as a calibration says, and that what moved is told.

The rows are of no network: values of two layers, correlated over channels and positions, skewed, with heavy tails.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from folding.calibration import FEWEST_ROWS, RATES, WINDOW_ROWS, calibrate
from models.calibration import GROUP_CHANNELS, Calibration
from models.calibration_arrays import from_arrays, to_arrays
from models.layers import NormalizationLayer
from models.observed_rows import Columns, ObservedRows
from models.stacked_moments import StackedMoments
from tests.models.observed import columns_of, layer, observe_values

CHANNELS, POSITIONS = (3, GROUP_CHANNELS + 2), (16, 1)
LAYERS = tuple(layer(name, channels) for name, channels in zip(("early", "late"), CHANNELS, strict=True))
COLUMNS = columns_of(*LAYERS)

HELD_OUT = 400


def rows(count: int, generator: np.random.Generator, *, shift: float = 0, scale: float = 1) -> ObservedRows:
    """Rows of which the later layer's values are moved and scaled, where that is asked for."""
    common = generator.gamma(2.0, size=(count, 1, 1)) / 2 - 1
    values = []
    for channels, positions in zip(CHANNELS, POSITIONS, strict=True):
        mixing = np.random.default_rng(channels).normal(size=(channels, channels)) / np.sqrt(channels)
        own = generator.normal(size=(count, channels, positions))
        row = generator.standard_t(6, size=(count, channels, 1))
        values.append(np.einsum("dc,ncp->ndp", mixing, own + row / 2 + common / 2))
    return observe_values([values[0], scale * values[1] + shift])


def window(count: int, seed: int, **moved: float) -> StackedMoments:
    """A window of fresh rows."""
    return StackedMoments.of(rows(count, np.random.default_rng((1, seed)), **moved))


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    found = calibrate(COLUMNS, [rows(HELD_OUT, np.random.default_rng(0))], seed=0)
    assert found is not None
    return found


def test_it_says_what_it_is_of(calibration: Calibration) -> None:
    """Its rows, its sizes and its rates; and it is what a file of it would say."""
    assert (calibration.rows, calibration.sizes) == (HELD_OUT, WINDOW_ROWS)
    assert calibration.rates.tolist() == list(RATES)
    assert from_arrays(to_arrays(calibration), CHANNELS).sizes == WINDOW_ROWS
    assert (np.diff(calibration.thresholds, axis=1) > 0).all()


def test_scores_of_unmoved_rows_are_about_standard(calibration: Calibration) -> None:
    """Of every layer, however many channels it has: that makes the largest of them comparable."""
    scores = np.array([calibration.scores(window(128, seed), COLUMNS) for seed in range(200)])

    # all windows share the error of the calibration's mean, whose T2 of 128 rows is a third of a window's own
    assert (np.abs(scores.mean(axis=0)) < 1).all()
    assert ((scores.std(axis=0) > 0.7) & (scores.std(axis=0) < 1.3)).all()


@pytest.mark.parametrize(
    ("size", "moved"),
    [(32, {"shift": 0.5}), (128, {"shift": -0.3}), (128, {"scale": 1.4}), (512, {"scale": 0.8})],
    ids=["up", "down", "wider", "narrower"],
)
def test_what_moved_raises_the_score_of_its_layer(calibration: Calibration, size: int, moved: dict[str, float]) -> None:
    """Beyond the threshold of the least rate that is known, and above that of the layer where nothing moved."""
    early, late = calibration.scores(window(size, 0, **moved), COLUMNS)

    assert late > calibration.threshold(size, min(RATES))
    assert early < calibration.threshold(size, min(RATES))


def test_a_larger_change_has_a_larger_score(calibration: Calibration) -> None:
    """Of the same rows."""
    scores = [calibration.scores(window(64, 0, shift=shift), COLUMNS)[1] for shift in (0, 0.25, 0.5, 1, 2)]

    assert (np.diff(scores) > 0).all()


def test_the_same_change_is_surer_of_more_rows(calibration: Calibration) -> None:
    """A quarter of a deviation is little in 32 rows, and much in 512."""
    scores = [calibration.scores(window(size, 0, shift=0.25), COLUMNS)[1] for size in WINDOW_ROWS]

    assert (np.diff(scores) > 1).all()


@pytest.mark.parametrize("count", [0, 1, FEWEST_ROWS - 1])
def test_too_few_rows_calibrate_nothing(count: int) -> None:
    """None is no error: the layers are observed, and not scored."""
    assert calibrate(COLUMNS, [rows(count, np.random.default_rng(0))], seed=0) is None


def test_the_fewest_rows_that_calibrate_do() -> None:
    """From there on scores are numbers."""
    calibration = small(FEWEST_ROWS)

    assert np.isfinite(calibration.scores(window_of_one_layer(32), ONE)).all()


def test_rows_that_are_left_out_do_not_count() -> None:
    """Those that were not finite are no rows."""
    found = rows(FEWEST_ROWS, np.random.default_rng(0))
    told = np.nan_to_num(found.means, nan=1.0).astype(np.float32)
    told[0] = np.inf

    read = COLUMNS.read(told, found.variances, np.array(POSITIONS))

    assert read.not_finite == 1
    assert calibrate(COLUMNS, [read], seed=0) is None


ALONE: NormalizationLayer = layer("alone", 2)
ONE: Columns = columns_of(ALONE)


def rows_of_one_layer(count: int, seed: int | tuple[int, int] = 0) -> ObservedRows:
    return observe_values([np.random.default_rng(seed).normal(size=(count, 2, 4))])


def window_of_one_layer(count: int) -> StackedMoments:
    return StackedMoments.of(rows_of_one_layer(count, seed=9))


def small(count: int, *, seed: int = 0, rows_seed: int = 0, parts: int = 1) -> Calibration:
    """The calibration of one layer of two channels."""
    whole = rows_of_one_layer(count, rows_seed)
    bounds = pairwise(range(0, count + 1, count // parts))
    calibration = calibrate(ONE, [whole.part(start, stop) for start, stop in bounds], seed=seed)
    assert calibration is not None
    return calibration


def assert_same(one: Calibration, other: Calibration) -> None:
    for name, array in to_arrays(one).items():
        np.testing.assert_array_equal(array, to_arrays(other)[name])


def test_a_seed_gives_the_same_calibration_again() -> None:
    """Number by number, and however the rows came."""
    assert_same(small(80, seed=4), small(80, seed=4, parts=4))


def test_another_seed_draws_other_windows() -> None:
    """And says nearly the same."""
    one, other = small(80, seed=1), small(80, seed=2)

    assert (one.thresholds != other.thresholds).any()
    # between halves of 80 rows cut otherwise: some tenths of a deviation
    np.testing.assert_allclose(one.thresholds[:, :4], other.thresholds[:, :4], rtol=0, atol=0.5)


@pytest.mark.parametrize("rows_held_out", [FEWEST_ROWS, 300])
def test_a_rate_is_kept_over_all_calibrations_of_as_many_rows(rows_held_out: int) -> None:
    """Of fresh windows of unmoved rows, one in twenty is beyond the threshold of the rate 0.05.

    What held-out rows do not tell of their mean, all windows share that they are compared with: one calibration alarms
    at thrice the rate and the next never. So twelve calibrations score 50 windows each. The shares of each calibration
    vary by about 0.05, and their mean by 0.015. Few rows make alarms rarer, not more frequent.
    """
    alarms = []

    for seed in range(12):
        calibration = small(rows_held_out, rows_seed=seed)
        threshold = calibration.threshold(64, 0.05)
        windows = [StackedMoments.of(rows_of_one_layer(64, seed=(seed, number))) for number in range(1, 51)]
        alarms.append(np.mean([calibration.scores(window, ONE)[0] > threshold for window in windows]))

    assert 0.005 <= np.mean(alarms) <= 0.1


def with_layer_that_never_varies(mean: float) -> tuple[Columns, ObservedRows]:
    """Rows of two layers of two channels, the second of which holds the same in all of them."""
    found = rows_of_one_layer(FEWEST_ROWS)
    constant = np.full_like(found.means, mean)
    return columns_of(ALONE, layer("constant", 2)), ObservedRows(
        np.concatenate([found.means, constant], axis=1),
        np.concatenate([found.variances, 0 * constant], axis=1),
        np.tile(found.values, 2),
        0,
    )


@pytest.mark.parametrize("mean", [0.5, np.nan], ids=["constant", "not observable"])
def test_a_layer_that_never_varies_is_calibrated(mean: float) -> None:
    """As a layer whose channels all died, or whose every gamma is 0: its neighbours are scored all the same."""
    columns, found = with_layer_that_never_varies(mean)

    calibration = calibrate(columns, [found], seed=0)

    assert calibration is not None
    assert from_arrays(to_arrays(calibration), (2, 2)).rows == FEWEST_ROWS
    scores = calibration.scores(StackedMoments.of(found.part(0, 32)), columns)
    assert np.isfinite(scores).all()
    assert abs(scores[1]) < 0.01


def test_what_never_varied_and_then_moves_is_told_but_not_what_rounding_moves() -> None:
    """A constant channel is compared as if it varied by a thousandth of a training deviation."""
    columns, found = with_layer_that_never_varies(0.5)
    calibration = calibrate(columns, [found], seed=0)
    assert calibration is not None

    rounded, moved = (
        calibration.scores(StackedMoments.of(with_layer_that_never_varies(0.5 + by)[1].part(0, 32)), columns)[1]
        for by in (1e-6, 0.1)
    )

    assert rounded < calibration.threshold(32, 0.05)
    assert moved > calibration.threshold(32, min(RATES))
