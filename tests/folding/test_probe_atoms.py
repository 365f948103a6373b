"""This module tests that a probe tells what share of a row's values is at its input's atoms, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from folding.folded import FoldedGraph
from folding.observing import observe
from folding.probe import PREFIX
from folding.speed import open_session
from models.atoms import Atoms
from tests.folding.observed import columns_of, fold_file, probe_of, run_probe
from tests.training.onnx_files import CHANNELS, make, normalize, random, statistics

CHANNELS_IN = 3
GROUND = np.array([-0.4242, 0.0, 17.5])
"""The atom of every channel; the first is no float32."""

TOLERANCE = 1e-4

ROWS_OF = {"image": (CHANNELS_IN, 6, 5), "series": (CHANNELS_IN, 7), "table": (CHANNELS_IN,)}
TYPES = {
    "FP16": (TensorProto.FLOAT16, np.float16),
    "FP32": (TensorProto.FLOAT, np.float32),
    "FP64": (TensorProto.DOUBLE, np.float64),
}

Rows = NDArray[Any]


@cache
def network(kind: str, datatype: str = "FP32", size: str | None = None) -> FoldedGraph:
    """An affine layer, its normalization, and what is left of that in the mean over a row's positions.

    Args:
        kind: Of the rows.
        datatype: Of the input; the network computes in float32.
        size: The name of every axis of positions, where these are of any size.
    """
    row = ROWS_OF[kind]
    shape: list[int | str] = [row[0], *(number if size is None else f"{size}{number}" for number in row[1:])]
    parameters = statistics("bn")
    positions = [1] * (len(row) - 1)
    if positions:
        affine = helper.make_node("Conv", ["cast", "weight"], ["affine"], name="conv")
    else:
        affine = helper.make_node("Gemm", ["cast", "weight"], ["affine"], name="linear", transB=1)
    nodes = [
        helper.make_node("Cast", [kind], ["cast"], to=TensorProto.FLOAT),
        affine,
        normalize("affine", "normalized", list(parameters), name="normalize"),
        helper.make_node("Relu", ["normalized"], ["rectified"]),
        helper.make_node("GlobalAveragePool" if positions else "Identity", ["rectified"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["answer"]),
    ]
    constants = {"weight": random(CHANNELS, CHANNELS_IN, *positions), **parameters}
    file = make(nodes, {kind: ("rows", *shape)}, {"answer": ("rows", CHANNELS)}, constants)
    file.graph.input[0].type.tensor_type.elem_type = TYPES[datatype][0]
    return fold_file(file)


def atoms_of(kind: str, *channels: int) -> Atoms:
    """Those of an input, in some of its channels or in all; the share and its variance are not of any rows."""
    chosen = np.array(channels or range(CHANNELS_IN))
    return Atoms(kind, chosen, GROUND[chosen], np.full(len(chosen), TOLERANCE), share=0.5, variance=0.01)


def on_ground(kind: str, count: int, *, datatype: str = "FP32", seed: int = 0) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows with some values of every channel at its atom, and where these are."""
    generator = np.random.default_rng((seed, count))
    shape = (count, *ROWS_OF[kind])
    ground = GROUND.reshape(CHANNELS_IN, *(1 for _ in shape[2:]))
    at = generator.uniform(size=shape) < generator.uniform(size=(count, *(1 for _ in shape[1:])))
    return np.where(at, ground, ground + 1 + generator.uniform(size=shape)).astype(TYPES[datatype][1]), at


@dataclass(frozen=True, slots=True)
class Told:
    """What a probe tells of rows: the layer's figures, and the input's."""

    layer: tuple[Rows, Rows, Rows]
    share: Rows
    variance: Rows
    values: Rows


def told(graph: FoldedGraph, rows: Rows, atoms: Atoms) -> Told:
    """What the probe of a graph tells, with the input's column behind those of the one layer."""
    given = torch.from_numpy(rows)
    means, variances, values = run_probe(graph, probe_of(graph, given, atoms=[atoms]), given)
    assert means.shape == variances.shape == (len(rows), CHANNELS + 1)
    layer = (means[:, :CHANNELS], variances[:, :CHANNELS], values[:-1])
    return Told(layer, means[:, CHANNELS], variances[:, CHANNELS], values[-1])


@pytest.mark.parametrize("channels", [(), (1,), (0, 2)], ids=["all channels", "one", "two"])
@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("kind", ROWS_OF)
def test_the_share_of_every_row_is_numpys(kind: str, count: int, channels: tuple[int, ...]) -> None:
    """Of the values of those channels that have an atom, whatever the axes behind them."""
    rows, at = on_ground(kind, count)

    found = told(network(kind), rows, atoms_of(kind, *channels))

    counted = at[:, list(channels)] if channels else at
    # a mean of at most 90 ones in float32
    np.testing.assert_allclose(found.share, counted.reshape(count, -1).mean(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ROWS_OF)
def test_a_share_is_one_value_which_has_no_variance(kind: str) -> None:
    """A row has one share; only among rows does it vary."""
    rows, _ = on_ground(kind, 9)

    found = told(network(kind), rows, atoms_of(kind))

    assert found.values == 1
    np.testing.assert_array_equal(found.variance, 0)


@pytest.mark.parametrize("datatype", TYPES)
def test_inputs_of_other_precisions_are_told_alike(datatype: str) -> None:
    """Tolerances are far beyond what float32 rounds; of float16 the atoms are as rounded as the rows."""
    rows, at = on_ground("image", 5, datatype=datatype)
    atoms = atoms_of("image")
    rounded = Atoms(
        "image", atoms.channels, atoms.values.astype(TYPES[datatype][1]).astype(float), atoms.tolerances, 0.5, 0.01
    )

    found = told(network("image", datatype), rows, rounded)

    np.testing.assert_allclose(found.share, at.mean(axis=(1, 2, 3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["image", "series"])
def test_rows_of_any_size_are_told_alike(kind: str) -> None:
    """One run may be of other sizes than the next."""
    graph = network(kind, size="size")
    rows, at = on_ground(kind, 4)
    probe = probe_of(graph, torch.from_numpy(rows), atoms=[atoms_of(kind)])
    part = (slice(None), slice(None), *(slice(3) for _ in rows.shape[2:]))

    for some in (slice(None), part):
        means, _, values = run_probe(graph, probe, torch.from_numpy(np.ascontiguousarray(rows[some])))

        np.testing.assert_allclose(means[:, CHANNELS], at[some].reshape(4, -1).mean(axis=1), rtol=0, atol=1e-6)
        assert values[-1] == 1


@pytest.mark.parametrize(("by", "share"), [(0.0, 1.0), (0.5 * TOLERANCE, 1.0), (3 * TOLERANCE, 0.0), (-1.0, 0.0)])
def test_only_what_is_nearer_than_the_tolerance_is_at_the_atom(by: float, share: float) -> None:
    """On either side of it."""
    rows = np.stack([np.broadcast_to(GROUND[:, None], (CHANNELS_IN, 7))] * 2)
    moved = (rows + np.array([by, -by])[:, None, None]).astype(np.float32)

    found = told(network("series"), moved, atoms_of("series"))

    np.testing.assert_array_equal(found.share, [share, share])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_at_no_atom(value: float) -> None:
    """The share is a number all the same; a layer's figures tell of the row what there is to tell."""
    rows, at = on_ground("image", 3)
    rows[1, :, 0] = value
    at[1, :, 0] = False

    found = told(network("image"), rows, atoms_of("image"))

    np.testing.assert_allclose(found.share, at.mean(axis=(1, 2, 3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ROWS_OF)
def test_the_figures_of_layers_stay_what_they_were(kind: str) -> None:
    """Bit by bit, beside one column more."""
    graph, (rows, _) = network(kind), on_ground(kind, 6)
    given = torch.from_numpy(rows)

    found = told(graph, rows, atoms_of(kind, 0, 2))

    for figures, expected in zip(found.layer, run_probe(graph, probe_of(graph, given), given), strict=True):
        np.testing.assert_array_equal(figures, expected)


@pytest.mark.parametrize("kind", ROWS_OF)
def test_the_outputs_stay_what_they_were(kind: str) -> None:
    """The observing graph answers in the place of the plain one."""
    graph, (rows, _) = network(kind), on_ground(kind, 6)
    probe = probe_of(graph, torch.from_numpy(rows), atoms=[atoms_of(kind)])

    found = open_session(graph.model + probe).run(["answer"], {kind: rows})

    (expected,) = open_session(graph.model).run(["answer"], {kind: rows})
    # what the runtime rounds in another order where the probe reads a tensor too, of values below 100
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ROWS_OF)
def test_what_is_added_is_a_valid_graph_under_names_of_its_own(kind: str) -> None:
    """Constants included."""
    graph, (rows, _) = network(kind), on_ground(kind, 2)
    probe = probe_of(graph, torch.from_numpy(rows), atoms=[atoms_of(kind, 1)])

    onnx.checker.check_model(onnx.load_from_string(graph.model + probe), full_check=True)

    added = onnx.load_from_string(probe).graph
    names = [*(name for node in added.node for name in node.output), *(tensor.name for tensor in added.initializer)]
    assert all(name.startswith(PREFIX) for name in names)
    assert len(set(names)) == len(names)


def two_inputs() -> FoldedGraph:
    """The sum of two affine layers of two inputs, normalized."""
    parameters = statistics("bn")
    nodes = [
        helper.make_node("Gemm", ["left", "left.weight"], ["a"], name="a", transB=1),
        helper.make_node("Gemm", ["right", "right.weight", ""], ["b"], name="b", transB=1),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        normalize("sum", "normalized", list(parameters), name="normalize"),
        helper.make_node("Relu", ["normalized"], ["answer"]),
    ]
    constants = {"left.weight": random(CHANNELS, CHANNELS_IN), "right.weight": random(CHANNELS, 2), **parameters}
    return fold_file(
        make(nodes, {"left": ("rows", CHANNELS_IN), "right": ("rows", 2)}, {"answer": ("rows", CHANNELS)}, constants)
    )


def test_each_input_that_has_atoms_is_told_by_itself() -> None:
    """In the order of the atoms."""
    graph, rows = two_inputs(), (on_ground("table", 8)[0], random(8, 2))
    rows[1][:3] = 0.25
    atoms = [
        Atoms("left", np.array([1]), GROUND[1:2], np.full(1, TOLERANCE), 0.5, 0.01),
        Atoms("right", np.array([0, 1]), np.full(2, 0.25), np.full(2, TOLERANCE), 0.5, 0.01),
    ]
    given = [torch.from_numpy(array) for array in rows]

    means, _, values = run_probe(graph, probe_of(graph, *given, atoms=atoms), *given)

    np.testing.assert_array_equal(means[:, CHANNELS], rows[0][:, 1] == 0)
    np.testing.assert_array_equal(means[:, CHANNELS + 1], (rows[1] == 0.25).all(axis=1))
    assert values.tolist() == [1, 1, 1]


def test_rows_are_read_in_deviations_of_their_shares() -> None:
    """A row whose share is a deviation above the mean share is at 1."""
    graph = network("image")
    rows, at = on_ground("image", 20)
    shares = at.mean(axis=(1, 2, 3))
    one = atoms_of("image")
    atoms = Atoms("image", one.channels, one.values, one.tolerances, float(shares.mean()), float(shares.var()))
    probe, columns = probe_of(graph, torch.from_numpy(rows), atoms=[atoms]), columns_of(graph, [atoms])

    (found,) = observe(graph.model, probe, columns, [rows])

    expected = (shares - shares.mean()) / shares.std()
    np.testing.assert_allclose(found.means[:, -1], expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.variances[:, -1], 0)
