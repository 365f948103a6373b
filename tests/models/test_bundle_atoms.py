"""This module tests what bundles keep of the atoms of their inputs, and what of it is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.atoms import EPS, atoms_to_arrays
from models.bundle import ATOMS_FILE, CALIBRATION_FILE, Arrays, Bundle
from models.calibration_arrays import to_arrays
from models.copied import BundleCopy
from models.draft import BundleDraft
from models.errors import BundleError
from models.store import Store
from tests.damage import replace_arrays, replace_file
from tests.drafts import CHANNELS, draft, observed_by, observing, uncalibrated


@pytest.fixture
def written() -> BundleDraft:
    """A draft whose input has atoms."""
    return draft(ground=True)


@pytest.fixture
def bundle(store: Store, written: BundleDraft) -> Bundle:
    """The same, published."""
    return store.publish(written)


def test_atoms_are_read_as_they_were_written(bundle: Bundle, written: BundleDraft) -> None:
    """Number by number."""
    found = atoms_to_arrays(bundle.atoms())

    expected = atoms_to_arrays(observed_by(written).atoms)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_a_bundle_whose_input_has_no_atoms_has_no_file_of_them(tiny: Store) -> None:
    """It is as it was before there were any."""
    bundle = tiny.open("tiny", 1)

    found = bundle.atoms()

    assert found == ()
    assert ATOMS_FILE not in bundle.manifest.files


def test_an_input_that_has_atoms_is_one_more_column(bundle: Bundle, store: Store) -> None:
    """Behind those of the layers, which stay where they are."""
    before = store.publish(draft("plain")).columns()

    columns = bundle.columns()

    assert before is not None
    assert columns is not None
    assert columns.slices == (*before.slices, slice(CHANNELS, CHANNELS + 1))
    assert (len(columns), columns.num_inputs, before.num_inputs) == (CHANNELS + 1, 1, 0)


def test_its_column_is_in_deviations_of_the_share(bundle: Bundle) -> None:
    """About the mean share of the held-out rows."""
    (atoms,) = bundle.atoms()

    columns = bundle.columns()

    assert columns is not None
    assert (columns.center[-1], columns.scale[-1]) == (atoms.share, np.sqrt(atoms.variance + EPS))


def test_the_calibration_of_layers_and_inputs_is_read_as_it_was_written(bundle: Bundle, written: BundleDraft) -> None:
    """An input is calibrated like a layer of one channel, behind the layers."""
    calibration = bundle.calibration()

    expected_calibration = observed_by(written).calibration
    assert calibration is not None
    assert expected_calibration is not None
    found, expected = to_arrays(calibration), to_arrays(expected_calibration)
    assert [len(layer.mean) for layer in calibration.layers] == [2 * CHANNELS, 2]
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_a_calibration_of_the_layers_alone_is_refused_where_inputs_have_atoms(store: Store) -> None:
    """It is another bundle's: there would be no score of the input."""
    mixed = replace(observing(ground=True), calibration=observing().calibration)
    bundle = store.publish(draft(observing=mixed))

    with pytest.raises(BundleError, match=rf"^{CALIBRATION_FILE}: "):
        bundle.calibration()


def without(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.pop(name)


def with_array(name: str, array: NDArray[Any]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: array})


@pytest.mark.parametrize("read", [Bundle.atoms, Bundle.columns, Bundle.calibration], ids=lambda read: read.__name__)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without("x/values"), "expected an array 'x/values', got none"),
        (with_array("y/share", np.array(0.5)), "y/share: this array is not known"),
        (with_array("x/values", np.zeros(3)), "x/values: expected float64 of shape (4,), got float64 of shape (3,)"),
        (with_array("x/share", np.array(np.nan)), "x/share: expected finite numbers, got NaN or infinity"),
        (
            with_array("x/channels", np.arange(1, 5)),
            "x/channels: expected some of 4, ascending from 0, got [1, 2, 3, 4]",
        ),
        (
            with_array("x/variance", np.array(-1.0)),
            "x: expected tolerances above 0, a share from 0 to 1, and no negative variance",
        ),
    ],
    ids=["missing", "unknown", "shape", "NaN", "channels", "variance"],
)
def test_damaged_atoms_are_named(
    bundle: Bundle, read: Callable[[Bundle], object], change: Callable[[Arrays], object], problem: str
) -> None:
    """The file and the array, whatever they are read for, although the manifest vouches for them."""
    replace_arrays(bundle.path, ATOMS_FILE, change)
    damaged = Bundle.open(bundle.path)

    with pytest.raises(BundleError) as caught:
        read(damaged)

    assert str(caught.value) == f"{ATOMS_FILE}: {problem}"


def test_atoms_that_are_no_archive_are_named(bundle: Bundle) -> None:
    """What numpy can't read is refused like what it can."""
    replace_file(bundle.path, ATOMS_FILE, b"not an archive")
    damaged = Bundle.open(bundle.path)

    with pytest.raises(BundleError, match=rf"^{ATOMS_FILE}: expected an archive of plain arrays"):
        damaged.atoms()


def test_a_copy_has_the_same_atoms(bundle: Bundle, tmp_path: Path) -> None:
    """Byte by byte, in another store."""
    copy = Store(tmp_path / "production").publish(BundleCopy(bundle=bundle, name="other"))

    assert (copy.path / ATOMS_FILE).read_bytes() == (bundle.path / ATOMS_FILE).read_bytes()
    assert copy.manifest.files[ATOMS_FILE] == bundle.manifest.files[ATOMS_FILE]


def test_a_copy_that_is_observed_by_what_has_no_atoms_has_none(store: Store, bundle: Bundle) -> None:
    """None of the file either, or its calibration could not be read."""
    copy = store.publish(BundleCopy(bundle=bundle, name="tiny", observing=observing()))

    assert ATOMS_FILE not in copy.manifest.files
    assert not (copy.path / ATOMS_FILE).exists()
    assert copy.atoms() == ()
    assert copy.calibration() is not None


def test_a_copy_gets_the_atoms_that_were_found_for_it(store: Store) -> None:
    """As of a bundle that was exported without real rows, and then calibrated."""
    bare = store.publish(draft(observing=uncalibrated()))

    copy = store.publish(BundleCopy(bundle=bare, name="tiny", observing=observing(ground=True)))

    assert [one.input for one in copy.atoms()] == ["x"]
    assert copy.calibration() is not None
