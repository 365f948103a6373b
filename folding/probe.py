"""This module makes the probe of a folded graph: what has to be added to it so that it also tells what its taps hold.

For every row and channel of every normalization layer that is the mean over the row's positions, and the variance
about it, in float32; and for every row of an input that has atoms the share of its values that is at them, in the place
of a mean. With ``u = held - reference``, a constant for each channel,

    mean = mean(u) + reference        variance = mean(u^2) - mean(u)^2

The reference is 0, which costs nothing, where the layer's training mean is not much larger than its deviation; else it
is that mean, so that no small difference of large numbers is taken.

A probe is an ONNX file that holds nothing but these nodes. Two messages of protocol buffers, written one after the
other, are one message that holds the parts of both: the bytes of ``model.onnx`` and then those of the probe are the
observing graph, over the same weights, with no library needed to put them together.

ONNX Runtime runs nodes from the outputs back: of what an operator takes, it first computes what the last of the nodes
gives. So nodes of the first layer come last, all figures meet in one operator, and each is taken while what it is taken
of is still in the caches. Of ResNet-18 that costs about half of what it does after the whole graph, which is where they
are taken of a graph that ends in an image, since the runtime then has to lay that out anew.

Where the first axis of a tap is not the batch, as behind a reshape of ``(rows, steps, channels)`` to ``(rows * steps,
channels)``, its figures are of the whole batch, told for every row of it: means and mean squares over rows come out
the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from folding.folded import FoldedGraph
from folding.nodes import Nodes
from folding.references import GraphSession
from models.atoms import Atoms
from models.layers import NormalizationLayer, TapMap
from models.manifest import LayerRecord, TensorRecord
from models.observed_rows import PROBE_OUTPUTS
from models.taps import TapUnits

PREFIX = "normalization_probe/"

LOOKED_AT_ROWS = (2, 3)
"""Batches of two sizes tell whether the first axis of a tap is the batch."""

LARGEST_MEAN = 8.0
"""In deviations: a mean of this size costs a variance 2^-24 (1 + 8^2), 4e-6 of itself, where the reference is 0."""

IMAGE_AXES = 4
"""Rows, channels, height and width."""

Shapes = Sequence[tuple[int, ...]]


def make_probe(graph: FoldedGraph, rows: Sequence[NDArray[Any]], atoms: Sequence[Atoms] = ()) -> bytes | None:
    """The probe of a folded graph; None where it has no normalization layers.

    Args:
        graph: What was folded.
        rows: At least one row, one array an input.
        atoms: Of its inputs; of each the share of a row's values that is at them is told too.

    Raises:
        VerificationError: If the graph can't be run.
    """
    if not graph.layers:
        return None
    model = onnx.load_from_string(graph.model)
    shapes = _tap_shapes(model, [layer.tap.tensor for layer in graph.layers], rows)
    nodes = Nodes.of(model, PREFIX)
    batch = _Batch(graph.inputs[0].name, varies=any(-1 in record.shape[1:] for record in graph.inputs))
    figures = [
        _observe(nodes, batch, record, _reference(record, layer, graph.tap_maps.get(record.name)), shapes)
        for record, layer in reversed(list(zip(graph.layers, graph.normalization, strict=True)))
    ][::-1]
    figures += [_observe_share(nodes, one, graph.inputs) for one in atoms]
    means, variances, values = PROBE_OUTPUTS
    nodes.apply("Concat", *(one.values for one in figures), axis=0, name=values)
    columns = sum(len(one.reference) for one in figures)
    together = nodes.apply("Concat", *(one.mean for one in figures), *(one.square for one in figures), axis=1)
    shifted = nodes.apply("Gather", together, nodes.constant(np.arange(columns)), axis=1)
    squares = nodes.apply("Gather", together, nodes.constant(np.arange(columns, 2 * columns)), axis=1)
    reference = nodes.constant(np.concatenate([one.reference for one in figures]))
    nodes.apply("Add", shifted, reference, name=means)
    nodes.apply("Sub", squares, nodes.apply("Mul", shifted, shifted), name=variances)
    outputs = [
        helper.make_tensor_value_info(means, TensorProto.FLOAT, [None, columns]),
        helper.make_tensor_value_info(variances, TensorProto.FLOAT, [None, columns]),
        helper.make_tensor_value_info(values, TensorProto.INT64, [len(figures)]),
    ]
    probe = onnx.GraphProto(node=nodes.nodes, initializer=nodes.constants, output=outputs)
    return bytes(onnx.ModelProto(graph=probe).SerializeToString())


def _tap_shapes(model: onnx.ModelProto, taps: Sequence[str], rows: Sequence[NDArray[Any]]) -> Mapping[str, Shapes]:
    """The shapes of every tap for batches of the two sizes."""
    session = GraphSession(model, list(dict.fromkeys(taps)))
    runs = [session.run([array.take(range(count), axis=0, mode="wrap") for array in rows]) for count in LOOKED_AT_ROWS]
    return {tap: [run[tap].shape for run in runs] for tap in taps}


def _reference(record: LayerRecord, layer: NormalizationLayer, tap_map: TapMap | None) -> NDArray[np.float32]:
    units = TapUnits.of(layer, record.tap.side, tap_map)
    with np.errstate(invalid="ignore"):  # of channels that can't be observed
        near = not (np.abs(units.center / units.scale) > LARGEST_MEAN).any()
    return np.zeros(record.channels, np.float32) if near else units.center.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The input that tells how many rows a run has, and whether rows of two runs may be of different sizes."""

    input: str
    varies: bool

    def rows(self, nodes: Nodes) -> str:
        """How many rows a run has; int64 of shape ``(1,)``."""
        return nodes.apply("Gather", nodes.apply("Shape", self.input), nodes.integers(0), axis=0)


@dataclass(frozen=True, slots=True)
class _Figures:
    """What is told of one layer: tensors ``(rows, channels)``, and one of shape ``(1,)``."""

    mean: str
    square: str
    values: str
    reference: NDArray[np.float32]


def _observe(
    nodes: Nodes, batch: _Batch, record: LayerRecord, reference: NDArray[np.float32], shapes: Mapping[str, Shapes]
) -> _Figures:
    """Add what takes one layer's figures."""
    shape, axis = shapes[record.tap.tensor][0], record.tap.channel_axis
    by_row = tuple(sizes[0] for sizes in shapes[record.tap.tensor]) == LOOKED_AT_ROWS
    axes = [other for other in range(len(shape)) if other != axis and not (by_row and other == 0)]
    held = nodes.apply("Cast", record.tap.tensor, to=TensorProto.FLOAT)
    if reference.any():
        laid = reference.reshape([-1 if other == axis else 1 for other in range(len(shape))])
        held = nodes.apply("Sub", held, nodes.constant(laid))

    values = nodes.integers(math.prod(shape) // (LOOKED_AT_ROWS[0] * record.channels))
    if batch.varies:
        size = nodes.apply("Reshape", nodes.apply("Size", held), nodes.integers(1))
        values = nodes.apply("Div", size, nodes.apply("Mul", batch.rows(nodes), nodes.integers(record.channels)))

    if by_row and axis == 1 and len(shape) == IMAGE_AXES:
        # ONNX Runtime pools, adds and multiplies images in the blocked layout in which it convolves them on CPUs, and
        # reduces them in no other than their own: pooling saves it a copy of every tap
        mean = nodes.apply("GlobalAveragePool", held)
        square = nodes.apply("GlobalAveragePool", nodes.apply("Mul", held, held))
    elif axes:
        mean = nodes.reduce("ReduceMean", held, axes)
        summands = values if by_row else nodes.apply("Mul", values, batch.rows(nodes))
        total = nodes.reduce("ReduceSumSquare", held, axes)
        square = nodes.apply("Div", total, nodes.apply("Cast", summands, to=TensorProto.FLOAT))
    else:
        mean, square = held, nodes.apply("Mul", held, held)

    flat = nodes.integers(-1, record.channels)
    mean, square = (nodes.apply("Reshape", figure, flat) for figure in (mean, square))
    if not by_row:
        every = nodes.apply("Concat", batch.rows(nodes), nodes.integers(record.channels), axis=0)
        mean, square = (nodes.apply("Expand", figure, every) for figure in (mean, square))
    return _Figures(mean, square, values, reference)


def _observe_share(nodes: Nodes, atoms: Atoms, inputs: Sequence[TensorRecord]) -> _Figures:
    """Add what takes the share of a row's values that is at an input's atoms: one value a row, without a reference."""
    (shape,) = (record.shape for record in inputs if record.name == atoms.input)
    held = nodes.apply("Cast", atoms.input, to=TensorProto.FLOAT)
    if len(atoms.channels) < shape[1]:
        held = nodes.apply("Gather", held, nodes.constant(atoms.channels), axis=1)
    laid = [-1 if axis == 1 else 1 for axis in range(len(shape))]
    values, tolerances = (
        nodes.constant(array.astype(np.float32).reshape(laid)) for array in (atoms.values, atoms.tolerances)
    )
    near = nodes.apply("Less", nodes.apply("Abs", nodes.apply("Sub", held, values)), tolerances)
    ones = nodes.apply("Cast", near, to=TensorProto.FLOAT)
    share = nodes.reduce("ReduceMean", ones, list(range(1, len(shape))))
    share = nodes.apply("Reshape", share, nodes.integers(-1, 1))
    return _Figures(share, nodes.apply("Mul", share, share), nodes.integers(1), np.zeros(1, np.float32))
