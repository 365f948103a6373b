"""This module tests which values of inputs are taken for atoms, and what is told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from folding import atoms as looking
from folding.atoms import LEAST_SHARE, find_atoms
from folding.calibration import FEWEST_ROWS
from models.atoms import Atoms
from models.datatypes import Datatype
from models.manifest import TensorRecord

ROWS = 100
IMAGE = (3, 6, 6)

Rows = NDArray[Any]


def record(*row: int, name: str = "image", datatype: Datatype = "FP32") -> TensorRecord:
    """An input of rows of a shape."""
    return TensorRecord(name=name, datatype=datatype, shape=(-1, *row))


def continuous(count: int, *row: int, seed: int = 0) -> NDArray[np.float32]:
    """Rows of which hardly any two values are the same."""
    return np.random.default_rng(seed).normal(size=(count, *row)).astype(np.float32)


def black_ground(count: int = ROWS, *row: int, seed: int = 0, black: float = 0.0) -> NDArray[np.float32]:
    """Images of a figure on black, which covers more or less of each."""
    row = row or IMAGE
    generator = np.random.default_rng((seed, 1))
    covered = generator.uniform(0.1, 0.9, size=(count, *(1 for _ in row)))
    return np.where(
        generator.uniform(size=(count, *row)) < covered, continuous(count, *row, seed=seed), np.float32(black)
    )


def found_in(rows: Rows, *, datatype: Datatype = "FP32") -> Atoms:
    """The atoms of rows that have some."""
    (found,) = find_atoms([record(*rows.shape[1:], datatype=datatype)], [rows])
    return found


def test_a_black_ground_is_found() -> None:
    """It is the atom of every channel."""
    rows = black_ground()

    found = found_in(rows)

    assert (found.input, found.channels.tolist(), found.values.tolist()) == ("image", [0, 1, 2], [0.0, 0.0, 0.0])


def test_rows_of_continuous_values_have_none() -> None:
    """Of which none is there twice, but by chance."""
    rows = continuous(ROWS, *IMAGE)

    found = find_atoms([record(*IMAGE)], [rows])

    assert found == ()


def test_the_values_of_eight_bits_are_no_atoms() -> None:
    """Each is there often, and one of them most often; it tells nothing."""
    generator = np.random.default_rng(0)
    rows = (generator.integers(0, 256, size=(ROWS, *IMAGE)) / 255).astype(np.float32)

    found = find_atoms([record(*IMAGE)], [rows])

    assert found == ()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_share_and_variance_are_numpys_of_the_shares_of_rows(kind: type) -> None:
    """A row's share is over all values of its channels that have an atom."""
    rows: Rows = black_ground().astype(kind)

    found = found_in(rows, datatype={2: "FP16", 4: "FP32", 8: "FP64"}[rows.itemsize])  # type: ignore[arg-type]

    shares = (rows == 0).mean(axis=(1, 2, 3))
    np.testing.assert_allclose((found.share, found.variance), (shares.mean(), shares.var()), rtol=1e-12)


def table() -> NDArray[np.float32]:
    """Features of which the first and the third are missing now and then, each with a figure of its own for it."""
    rows = continuous(ROWS, 4)
    missing = np.random.default_rng(1).uniform(size=rows.shape) < 0.3
    for feature, figure in ((0, -1.0), (2, 99.0)):
        rows[missing[:, feature], feature] = figure
    return rows


def test_every_feature_of_a_table_has_an_atom_of_its_own() -> None:
    """Those without one are left out."""
    rows = table()

    found = found_in(rows)

    assert (found.channels.tolist(), found.values.tolist()) == ([0, 2], [-1.0, 99.0])


def test_the_share_is_over_the_features_that_have_an_atom() -> None:
    """Others would only dilute it."""
    rows = table()

    found = found_in(rows)

    shares = (rows[:, [0, 2]] == [-1, 99]).mean(axis=1)
    np.testing.assert_allclose((found.share, found.variance), (shares.mean(), shares.var()), rtol=1e-12)


@pytest.mark.parametrize(("count", "is_one"), [(4, False), (5, True)])
def test_what_is_there_in_a_twentieth_of_a_channel_is_an_atom(count: int, is_one: bool) -> None:
    """Of 100 values."""
    rows = continuous(ROWS, 1)
    rows[:count] = 7.0

    found = find_atoms([record(1)], [rows])

    assert LEAST_SHARE == 0.05
    assert bool(found) == is_one


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_channel_that_is_never_anything_else_has_its_atom_beside_others(value: float) -> None:
    """Its tolerance is above 0 although it does not vary."""
    rows = table()
    rows[:, 1] = value

    found = found_in(rows)

    assert (found.channels.tolist(), found.values.tolist()) == ([0, 1, 2], [-1.0, pytest.approx(value), 99.0])
    assert (found.tolerances > 0).all()


@pytest.mark.parametrize(("odd", "is_watched"), [(0, False), (4, False), (5, True)])
def test_an_input_whose_rows_hardly_differ_is_not_watched(odd: int, is_watched: bool) -> None:
    """One more flag that is seldom set would be as far off as anything, and as likely as not."""
    rows = np.zeros((ROWS, 3), np.float32)
    rows[:odd, 0] = 1

    found = find_atoms([record(3)], [rows])

    assert bool(found) == is_watched


@pytest.mark.parametrize(("count", "found"), [(0, 0), (1, 0), (FEWEST_ROWS - 1, 0), (FEWEST_ROWS, 1)])
def test_in_fewer_rows_than_can_calibrate_there_are_none(count: int, found: int) -> None:
    """Nothing would be judged by them."""
    rows = black_ground(FEWEST_ROWS)[:count]

    atoms = find_atoms([record(*IMAGE)], [rows])

    assert len(atoms) == found


@pytest.mark.parametrize(("datatype", "kind"), [("BF16", np.uint16), ("BOOL", np.bool_), ("BYTES", object)])
def test_inputs_of_other_types_are_not_looked_at(datatype: Datatype, kind: type) -> None:
    """They are no numbers, or not held as those that they are."""
    rows: Rows = np.full((ROWS, 3), b"" if kind is object else 1, kind)
    taken = [record(3, datatype=datatype)]

    found = find_atoms(taken, [rows])

    assert found == ()


@pytest.mark.parametrize(("datatype", "kind"), [("UINT8", np.uint8), ("INT64", np.int64)])
def test_whole_numbers_are_at_an_atom_or_not(datatype: Datatype, kind: type) -> None:
    """As pixels that a network standardizes itself: the nearest that is not at it is 1 away."""
    rows: Rows = np.random.default_rng(0).integers(1, 256, size=(ROWS, *IMAGE)).astype(kind)
    rows[black_ground() == 0] = 0

    (found,) = find_atoms([record(*IMAGE, datatype=datatype)], [rows])

    assert found.values.tolist() == [0.0, 0.0, 0.0]
    assert (found.tolerances < 1).all()
    assert found.share == pytest.approx((rows == 0).mean(), rel=1e-12)


def test_a_far_sentinel_leaves_values_as_near_as_they_are() -> None:
    """Of figures as -1e9 for a missing one a deviation would be so large that all others were at the atom."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(ROWS, 3)).astype(np.float32)
    rows[random.uniform(size=rows.shape) < 0.4] = 0
    rows[random.uniform(size=rows.shape) < 0.02] = -1e9

    found = found_in(rows)

    assert found.values.tolist() == [0.0, 0.0, 0.0]
    assert found.share == pytest.approx((rows == 0).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("row", "rows"), [((), np.zeros(ROWS)), ((-1, 3), np.zeros((ROWS, 5, 3)))], ids=["rows alone", "of any length"]
)
def test_inputs_without_an_axis_of_channels_are_not_looked_at(row: tuple[int, ...], rows: Rows) -> None:
    """There is no index that would be the same in every row."""
    taken = [record(*row)]

    found = find_atoms(taken, [rows.astype(np.float32)])

    assert found == ()


def test_images_of_any_size_have_atoms() -> None:
    """Their channels are as many in all."""
    rows = black_ground()

    (found,) = find_atoms([record(3, -1, -1)], [rows])

    assert found.channels.tolist() == [0, 1, 2]


MEAN, DEVIATION = 0.4914, 0.2470
"""As inputs are standardized everywhere: of the CIFAR images' first channel."""


@pytest.mark.parametrize(
    "computed",
    [
        lambda pixels: ((pixels.astype(np.float64) / 255 - MEAN) / DEVIATION).astype(np.float32),
        lambda pixels: (pixels.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION),
        lambda pixels: pixels.astype(np.float32) * np.float32(1 / 255 / DEVIATION) - np.float32(MEAN / DEVIATION),
    ],
    ids=["in float64", "in float32", "as one affine map"],
)
@pytest.mark.parametrize("ground", [0, 17, 255])
def test_what_is_computed_in_another_order_is_at_the_atom_still(computed: Any, ground: int) -> None:  # noqa: ANN401
    """Whoever asks standardizes in code of their own, which rounds otherwise."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, size=(ROWS, 1, 8, 8), dtype=np.uint8)
    pixels[generator.uniform(size=pixels.shape) < 0.5] = ground
    found = found_in((pixels.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION))

    near = np.abs(computed(pixels).astype(np.float32) - np.float32(found.values[0])) < found.tolerances[0]

    np.testing.assert_array_equal(near, pixels == ground)


def test_a_ground_that_is_the_mean_is_an_atom_whatever_is_left_of_it() -> None:
    """What is 0 but for rounding is of no size that a tolerance could be a share of."""
    ground, mean = 51 / 255, 0.2
    rows = black_ground(black=float(np.float32(ground) - np.float32(mean)) + 1.5e-8)

    found = found_in(rows)

    assert (abs(ground - mean - found.values) < found.tolerances).all()


def test_a_value_far_larger_than_what_varies_about_it_is_an_atom_as_it_is_rounded() -> None:
    """Float32 has no numbers between it and the next one."""
    rows = black_ground()
    large = (1e-3 * rows + 1000).astype(np.float32)

    found = found_in(large)

    assert (np.nextafter(np.float32(1000), np.float32(2000)) - found.values < found.tolerances).all()


def test_of_several_inputs_each_has_its_own() -> None:
    """In their order, without those that have none."""
    records = [record(4, name="table"), record(2, name="noise"), record(*IMAGE)]

    found = find_atoms(records, [table(), continuous(ROWS, 2), black_ground(black=-0.5)])

    assert [(one.input, set(one.values.tolist())) for one in found] == [("table", {-1.0, 99.0}), ("image", {-0.5})]


def test_atoms_are_looked_for_in_some_rows_and_their_share_is_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows at even distances, as rows may come class by class."""
    rows = black_ground(159)
    rows[1::2] = np.where(rows[1::2] == 0, np.float32(0.5), rows[1::2])
    monkeypatch.setattr(looking, "MOST_VALUES", 80 * rows[0].size)

    found = found_in(rows)

    shares = (rows == 0).mean(axis=(1, 2, 3))
    assert found.values.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose((found.share, found.variance), (shares.mean(), shares.var()), rtol=1e-12)


@pytest.mark.parametrize(("datatype", "kind", "value"), [("INT64", np.int64, 2**24 + 1), ("FP64", np.float64, 1e300)])
def test_what_a_probe_can_not_compare_is_no_atom(datatype: Datatype, kind: type, value: float) -> None:
    """It compares in float32."""
    rows: Rows = np.random.default_rng(0).integers(1, 1000, size=(ROWS, 4)).astype(kind)
    rows[::2] = value

    found = find_atoms([record(4, datatype=datatype)], [rows])

    assert found == ()


def test_sentinels_may_be_most_of_what_is_not_at_the_atom() -> None:
    """Those that are nearest to it say what near is."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(1000, 3)).astype(np.float32)
    kind = random.uniform(size=rows.shape)
    rows[kind < 0.4] = 0
    rows[kind > 0.65] = -999999

    found = found_in(rows)

    assert found.share == pytest.approx((rows == 0).mean(), rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_atom_and_at_none(value: float) -> None:
    """However often it is there: a network may take NaN for what is missing, and a probe finds nothing near it."""
    rows = black_ground()
    rows[::2] = value

    found = found_in(rows)

    shares = (rows == 0).mean(axis=(1, 2, 3))
    assert found.values.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose((found.share, found.variance), (shares.mean(), shares.var()), rtol=1e-12)


def test_tolerances_are_of_what_is_finite() -> None:
    """So that they are finite, as a bundle's have to be."""
    rows = black_ground(150)
    expected = found_in(rows[:100]).tolerances
    rows[100:120], rows[120:] = np.nan, np.inf

    found = found_in(rows)

    np.testing.assert_allclose(found.tolerances, expected, rtol=1e-12)


def test_a_channel_of_which_nothing_is_finite_has_none() -> None:
    """Its neighbours have theirs."""
    rows = black_ground()
    rows[:, 1] = np.nan

    found = found_in(rows)

    assert found.channels.tolist() == [0, 2]
