"""This module tests what is kept of atoms: that it is read as it was written, and what of it is refused."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.atoms import EPS, Atoms, atoms_from_arrays, atoms_to_arrays, watched
from models.datatypes import Datatype
from models.manifest import TensorRecord
from models.taps import TapUnits
from tests.models.observed import layer

CHANNELS = 5
"""Of the second axis of every input here."""


def record(name: str, datatype: Datatype = "FP32", shape: tuple[int, ...] = (-1, CHANNELS, 8)) -> TensorRecord:
    """What a manifest says of an input."""
    return TensorRecord(name=name, datatype=datatype, shape=shape)


def atoms(name: str, *channels: int) -> Atoms:
    """Atoms whose every number is another."""
    rng = np.random.default_rng((len(name), *channels))
    return Atoms(
        input=name,
        channels=np.array(channels),
        values=rng.normal(size=len(channels)),
        tolerances=rng.uniform(1e-5, 1e-4, size=len(channels)),
        share=rng.uniform(),
        variance=rng.uniform(),
    )


def arrays(name: str = "image") -> dict[str, NDArray[Any]]:
    """Those of one input with three atoms."""
    return atoms_to_arrays([atoms(name, 0, 2, 4)])


def test_atoms_are_read_from_their_arrays_as_they_were() -> None:
    """Number by number, type by type."""
    written = arrays()

    found = atoms_from_arrays(written, [record("image")])

    read = atoms_to_arrays(found)
    assert list(read) == list(written)
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def test_the_arrays_are_named_after_the_input() -> None:
    """Each of its fields is one."""
    names = list(arrays("image"))

    assert names == [f"image/{field}" for field in ("channels", "values", "tolerances", "share", "variance")]


def test_atoms_of_several_inputs_come_in_the_order_of_the_inputs() -> None:
    """Whatever the order of the arrays; an input without atoms is left out."""
    written = atoms_to_arrays([atoms("last", 1), atoms("first", 0, 3)])

    found = atoms_from_arrays(written, [record("first"), record("none"), record("last")])

    assert [(one.input, one.channels.tolist()) for one in found] == [("first", [0, 3]), ("last", [1])]


def test_of_no_arrays_there_are_no_atoms() -> None:
    """It is no error that inputs have none."""
    nothing: dict[str, NDArray[Any]] = {}

    found = atoms_from_arrays(nothing, [record("image")])

    assert found == ()


@pytest.mark.parametrize(
    "names",
    [("a/b",), ("a/b", "a"), ("a", "a/b"), ("a", "a/channels"), ("a", "ab"), ("model/in:0", "model")],
    ids=",".join,
)
def test_an_input_may_be_named_like_a_path(names: tuple[str, ...]) -> None:
    """Also like one within another input: exporters name tensors after scopes."""
    written = {name: atoms(name, number) for number, name in enumerate(names)}

    found = atoms_from_arrays(atoms_to_arrays(list(written.values())), [record(name) for name in names])

    assert [(one.input, one.share) for one in found] == [(name, one.share) for name, one in written.items()]


@pytest.mark.parametrize(("name", "other"), [("a", "a/b"), ("a/b", "a"), ("ab", "a"), ("a", "ab")])
def test_atoms_of_an_input_are_none_of_another_whose_name_is_a_part_of_its_own(name: str, other: str) -> None:
    """The other one has none, which is not asked for either."""
    written = arrays(name)

    found = atoms_from_arrays(written, [record(other), record(name)])

    assert [one.input for one in found] == [name]


@pytest.mark.parametrize("name", arrays())
def test_an_array_that_is_missing_is_named(name: str) -> None:
    """Whichever it is."""
    left = arrays()
    del left[name]

    with pytest.raises(ValueError, match=rf"^expected an array '{name}', got none$"):
        atoms_from_arrays(left, [record("image")])


@pytest.mark.parametrize("name", ["image/surplus", "other/share", "share", "image/share/more", "/image/share"])
def test_an_array_that_is_not_known_is_named(name: str) -> None:
    """Of an input that is not there, or of none."""
    more = arrays() | {name: np.array(0.5)}

    with pytest.raises(ValueError, match=rf"^{name}: this array is not known$"):
        atoms_from_arrays(more, [record("image")])


@pytest.mark.parametrize("name", arrays())
def test_an_array_of_another_type_is_refused(name: str) -> None:
    """Numbers are what they were written as."""
    changed = arrays()
    changed[name] = changed[name].astype(np.float32)

    with pytest.raises(ValueError, match=rf"^{name}: expected (int64|float64) of shape .*, got float32 of shape "):
        atoms_from_arrays(changed, [record("image")])


@pytest.mark.parametrize("name", arrays())
def test_an_array_of_another_shape_is_refused(name: str) -> None:
    """One axis more is another shape, also of what has as many numbers as it likes."""
    changed = arrays()
    changed[name] = changed[name][None]

    with pytest.raises(ValueError, match=rf"^{name}: expected .* of shape \(.*\), got .* of shape \(1,"):
        atoms_from_arrays(changed, [record("image")])


@pytest.mark.parametrize("name", ["image/values", "image/tolerances"])
def test_there_is_a_number_for_each_channel(name: str) -> None:
    """Neither fewer nor more."""
    changed = arrays()
    changed[name] = changed[name][:-1]

    with pytest.raises(ValueError, match=rf"^{name}: expected float64 of shape \(3,\), got float64 of shape \(2,\)$"):
        atoms_from_arrays(changed, [record("image")])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["image/values", "image/tolerances", "image/share", "image/variance"])
def test_an_array_that_is_not_finite_is_refused(name: str, value: float) -> None:
    """Nothing is near a value that is no number."""
    changed = arrays()
    changed[name] = changed[name].copy()
    changed[name].flat[-1] = value

    with pytest.raises(ValueError, match=rf"^{name}: expected finite numbers, got NaN or infinity$"):
        atoms_from_arrays(changed, [record("image")])


@pytest.mark.parametrize("channels", [[-1, 0, 1], [0, 2, CHANNELS], [0, 0, 1], [2, 1, 3]])
def test_channels_that_the_input_can_not_have_are_refused(channels: list[int]) -> None:
    """Out of range, twice, or not in their order."""
    changed = arrays() | {"image/channels": np.array(channels)}
    problem = re.escape(f"image/channels: expected some of {CHANNELS}, ascending from 0, got {channels}")

    with pytest.raises(ValueError, match=rf"^{problem}$"):
        atoms_from_arrays(changed, [record("image")])


def test_an_input_of_which_no_channel_has_an_atom_is_refused() -> None:
    """It would have no arrays."""
    changed = {name: array[:0] if array.ndim else array for name, array in arrays().items()}

    with pytest.raises(ValueError, match=r"^image/channels: expected int64 of shape \(channels,\), got int64 of shape"):
        atoms_from_arrays(changed, [record("image")])


@pytest.mark.parametrize("shape", [(-1,), (-1, -1)], ids=["rows alone", "of any size"])
def test_an_input_without_an_axis_of_channels_has_no_atoms(shape: tuple[int, ...]) -> None:
    """There is no index that would be the same one in every row."""
    written = arrays()

    with pytest.raises(ValueError, match=r"^image/channels: expected some of \S+, ascending from 0, got \[0, 2, 4\]$"):
        atoms_from_arrays(written, [record("image", shape=shape)])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("image/tolerances", np.array([1e-5, 0.0, 1e-5])),
        ("image/tolerances", np.array([1e-5, -1e-5, 1e-5])),
        ("image/variance", np.array(-1e-9)),
        ("image/share", np.array(-0.1)),
        ("image/share", np.array(1.1)),
    ],
    ids=["no tolerance", "negative tolerance", "negative variance", "negative share", "share above 1"],
)
def test_figures_that_nothing_can_have_are_refused(name: str, array: NDArray[Any]) -> None:
    """Nothing is nearer than 0 to an atom."""
    changed = arrays() | {name: array}

    with pytest.raises(ValueError, match=r"^image: expected tolerances above 0, a share from 0 to 1"):
        atoms_from_arrays(changed, [record("image")])


def test_the_reference_reads_a_share_in_deviations_of_the_rows() -> None:
    """As what a layer of one channel takes."""
    found = atoms("image", 0, 1)

    units = TapUnits.of(found.reference, "input", None)

    assert found.reference.name == "image"
    assert (units.center.tolist(), units.scale.tolist()) == ([found.share], [np.sqrt(found.variance + EPS)])


def test_the_reference_of_a_share_that_never_differed_has_a_deviation_too() -> None:
    """Else a share that then differs would be infinitely far off."""
    never = Atoms("image", np.array([0]), np.zeros(1), np.ones(1), share=0.25, variance=0.0)

    deviation = never.reference.deviation

    np.testing.assert_allclose(deviation, [1e-4])


def test_all_that_is_watched_is_the_layers_and_then_the_inputs() -> None:
    """In the order of a probe's columns."""
    layers = (layer("early", 3), layer("late", 2))

    found = watched(layers, [atoms("image", 0), atoms("age", 1)])

    assert [(one.name, one.channels) for one in found] == [("early", 3), ("late", 2), ("image", 1), ("age", 1)]
