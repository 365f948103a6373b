"""This module tests how what a probe tells is read."""

from dataclasses import replace

import numpy as np
import pytest

from models.layers import TapMap
from models.observed_rows import Columns, ObservedRows
from tests.models.observed import columns_of, layer, record

ONE, OTHER = layer("one", 3), layer("other", 2)
VALUES = np.array([16, 1])
"""Positions of a row at each of the two layers."""


def told(rows: int = 4, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of so many rows over the five columns of the two layers."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 5)).astype(np.float32), rng.uniform(size=(rows, 5)).astype(np.float32)


def test_layers_lie_side_by_side_in_the_order_of_the_manifest() -> None:
    """Columns of a later layer begin where those of the one before it end."""
    columns = columns_of(ONE, OTHER)

    assert columns.slices == (slice(0, 3), slice(3, 5))
    assert len(columns) == 5
    np.testing.assert_array_equal(columns.center, np.concatenate([ONE.beta, OTHER.beta]))
    np.testing.assert_array_equal(columns.scale, np.concatenate([ONE.gamma, OTHER.gamma]))


def test_each_layer_is_read_by_its_own_side_and_its_own_map() -> None:
    """One tap holds what its layer took, the other a map of what its layer gave."""
    tap_map = TapMap(np.full(2, 2.0), np.ones(2))
    records = [record(ONE, side="input"), record(OTHER, mapped=True)]

    columns = Columns.of(records, [ONE, OTHER], {"other": tap_map})

    np.testing.assert_array_equal(columns.center, np.concatenate([ONE.mean, 2 * OTHER.beta + 1]))
    np.testing.assert_array_equal(columns.scale, np.concatenate([ONE.deviation, 2 * OTHER.gamma]))


def test_rows_are_read_in_training_deviations() -> None:
    """The mean less the center over the scale, the variance over its square."""
    columns, (means, variances) = columns_of(ONE, OTHER), told()

    rows = columns.read(means, variances, VALUES)

    assert (len(rows), rows.not_finite) == (4, 0)
    np.testing.assert_array_equal(rows.means, (means - columns.center) / columns.scale)
    np.testing.assert_array_equal(rows.variances, variances / columns.scale**2)
    assert rows.means.dtype == rows.variances.dtype == np.float64
    assert rows.values.tolist() == [16, 16, 16, 1, 1]


def test_no_variance_is_below_zero() -> None:
    """A probe's differences may round there, where all values of a row are one."""
    columns, (means, variances) = columns_of(ONE, OTHER), told()
    variances[1, 2] = -1e-6

    rows = columns.read(means, variances, VALUES)

    assert (len(rows), rows.variances[1, 2]) == (4, 0)
    assert rows.variances.min() == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", [0, 1], ids=["means", "variances"])
def test_a_row_that_is_not_finite_is_left_out_and_counted(field: int, value: float) -> None:
    """One such number would make every moment after it no number either."""
    columns, figures = columns_of(ONE, OTHER), told()
    figures[field][2, 4] = value
    kept = [0, 1, 3]

    rows = columns.read(*figures, VALUES)

    assert (len(rows), rows.not_finite) == (3, 1)
    np.testing.assert_array_equal(rows.means, columns.read(figures[0][kept], figures[1][kept], VALUES).means)
    assert np.isfinite(rows.means).all()


def test_all_rows_may_be_left_out() -> None:
    """No row is left, and that is no error."""
    means, variances = told()

    rows = columns_of(ONE, OTHER).read(np.full_like(means, np.nan), variances, VALUES)

    assert (len(rows), rows.not_finite, rows.means.shape) == (0, 4, (0, 5))


def test_channels_that_cannot_be_observed_leave_no_row_out() -> None:
    """They are NaN in every row, which says nothing of the rows."""
    hidden = replace(ONE, gamma=np.array([1.0, 0.0, 2.0]))
    columns = columns_of(hidden, OTHER)

    rows = columns.read(*told(), VALUES)

    assert columns.observable.tolist() == [True, False, True, True, True]
    assert (len(rows), rows.not_finite) == (4, 0)
    np.testing.assert_array_equal(np.isnan(rows.means), np.tile(~columns.observable, (4, 1)))
    np.testing.assert_array_equal(np.isnan(rows.variances), np.tile(~columns.observable, (4, 1)))


def test_parts_together_are_the_rows_again() -> None:
    """What was left out is counted by the first part alone."""
    columns, (means, variances) = columns_of(ONE, OTHER), told(7)
    means[0] = np.nan
    whole = columns.read(means, variances, VALUES)

    parts = [whole.part(start, stop) for start, stop in ((0, 2), (2, 5), (5, 6))]

    assert [(len(part), part.not_finite) for part in parts] == [(2, 1), (3, 0), (1, 0)]
    assert_same_rows(columns.gather(parts), whole)


def test_gathered_runs_are_one_run() -> None:
    """Rows of several runs are those that one run of all of them tells of."""
    columns, (means, variances) = columns_of(ONE, OTHER), told(9)
    means[[1, 8]] = np.inf

    gathered = columns.gather([columns.read(means[part], variances[part], VALUES) for part in (slice(4), slice(4, 9))])

    assert_same_rows(gathered, columns.read(means, variances, VALUES))


def assert_same_rows(found: ObservedRows, expected: ObservedRows) -> None:
    np.testing.assert_array_equal(found.means, expected.means)
    np.testing.assert_array_equal(found.variances, expected.variances)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.not_finite == expected.not_finite
