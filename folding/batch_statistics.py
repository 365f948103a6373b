"""This module measures what every normalization layer of an unfolded graph takes, by the statistics of each batch.

In the graph that it makes, a layer normalizes by the mean and variance of the batch at hand, as in training, so that
what a layer takes has passed layers whose statistics fit the rows already. The graph gives these figures too:

    m = mean(x)        v = mean((x - m)^2)        over all rows and positions, channel by channel
    y = gamma (x - m') / sqrt(v' + eps) + beta    m' = w m + (1 - w) mean        v' = w v + (1 - w) variance

with ``w = 1`` where the rows alone count, and less where the statistics that the layer has are a prior. Each figure is
a mean over positions in float32, then over rows in float64, so that no long sum is rounded. Batches are merged exactly.

Source: Ioffe & Szegedy (2015), Algorithm 1; Schneider et al. (2020), section 3, for the prior.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from folding.errors import RecalibrationError, VerificationError
from folding.references import GraphSession
from folding.rules.sites import normalizes
from models.layers import NormalizationLayer
from models.moments import Array, Moments

INSIDE = "batch_statistics/"
"""In front of the names of all that is put into the graph."""


def measure_layers(
    unfolded: bytes,
    layers: Sequence[NormalizationLayer],
    rows: Sequence[NDArray[Any]],
    *,
    batch_rows: int,
    weight: float = 1.0,
) -> dict[str, Moments]:
    """The moments of what every layer takes over some rows, by the layer's name.

    Args:
        unfolded: A graph whose normalization nodes are named after their layers; other nodes of that kind stay.
        layers: Their parameters and present statistics.
        rows: One array an input, ``(rows, ...)``.
        batch_rows: At most so many rows are one batch; the batches are as even as possible.
        weight: The ``w`` above, in (0, 1].

    Raises:
        RecalibrationError: If the graph can't be run so, or what a layer takes is not finite.
    """
    parts = {layer.name: _Layer(index, layer, weight) for index, layer in enumerate(layers)}
    model = _by_batch(onnx.load_from_string(unfolded), parts)
    moments = {layer.name: Moments.empty(layer.channels) for layer in layers}
    try:
        session = GraphSession(model, [name for part in parts.values() for name in part.figures])
        for batch in even_batches(rows, batch_rows):
            found = session.run(batch)
            for name, part in parts.items():
                moments[name] = moments[name].merge(part.moments(*(found[figure] for figure in part.figures)))
    except VerificationError as error:
        raise RecalibrationError(f"statistics by batches: {error}") from error
    return moments


def even_batches(rows: Sequence[NDArray[Any]], batch_rows: int) -> Iterator[list[NDArray[Any]]]:
    """The rows in as few batches of at most so many rows as there can be, none more than a row larger than another."""
    count = len(rows[0])
    batches = math.ceil(count / batch_rows)
    bounds = [count * batch // batches for batch in range(batches + 1)]
    for start, stop in itertools.pairwise(bounds):
        yield [array[start:stop] for array in rows]


def _by_batch(model: onnx.ModelProto, parts: dict[str, _Layer]) -> onnx.ModelProto:
    """The graph with every layer replaced; what is measured are tensors of it, not yet outputs."""
    nodes: list[onnx.NodeProto] = []
    reached = set()
    for node in model.graph.node:
        part = parts.get(node.name) if normalizes(node) else None
        if part is None:
            nodes.append(node)
            continue
        reached.add(node.name)
        nodes += part.replace(node)
        model.graph.initializer.extend(part.constants)
    for name in parts:
        if name not in reached:
            raise RecalibrationError(f"{name}: expected a normalization node of this name in the graph, got none")
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copied)
    return model


class _Layer:
    """The nodes that stand for one layer. Inside, tensors have an axis each for rows, channels and positions."""

    def __init__(self, index: int, layer: NormalizationLayer, weight: float) -> None:
        self._prefix = f"{INSIDE}{index}/"
        self._layer = layer
        self._weight = weight
        self._nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    @property
    def figures(self) -> tuple[str, str, str]:
        """Names of the tensors that hold the mean, the variance and the shape of what they are taken over."""
        return f"{self._prefix}mean", f"{self._prefix}variance", f"{self._prefix}shape"

    def moments(self, mean: NDArray[Any], variance: NDArray[Any], shape: NDArray[Any]) -> Moments:
        """The moments that a run's figures say."""
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise RecalibrationError(f"{self._layer.name}: expected finite values at its input, got NaN or infinity")
        count = int(shape[0] * shape[2])
        return Moments(count, mean.ravel(), variance.ravel() * count)

    def replace(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that stand for the layer's own, in order."""
        taken, given = node.input[0], node.output[0]
        mean, variance, shape = self.figures
        values = self._cast(self._apply("Reshape", taken, self._integers("layout", [0, 0, -1])), TensorProto.FLOAT)
        self._apply("Shape", values, to=shape)
        self._mean(values, to=mean)
        centred = self._apply("Sub", values, self._cast(mean, TensorProto.FLOAT))
        self._mean(self._apply("Mul", centred, centred), to=variance)
        used_mean, used_variance = self._mixed(mean, self._layer.mean), self._mixed(variance, self._layer.variance)
        scale = self._apply(
            "Div",
            self._channels("gamma", self._layer.gamma),
            self._apply("Sqrt", self._apply("Add", used_variance, self._channels("eps", np.array([self._layer.eps])))),
        )
        # the values are centred by the batch already; what is left is 0 without a prior
        offset = self._apply("Mul", self._apply("Sub", mean, used_mean), scale)
        shift = self._apply("Add", offset, self._channels("beta", self._layer.beta))
        scaled = self._apply("Mul", centred, self._cast(scale, TensorProto.FLOAT))
        shifted = self._apply("Add", scaled, self._cast(shift, TensorProto.FLOAT))
        laid = self._apply("Reshape", shifted, self._apply("Shape", taken))
        self._apply("CastLike", laid, taken, to=given)
        return self._nodes

    def _mean(self, tensor: str, *, to: str) -> None:
        of_rows = self._apply("ReduceMean", tensor, self._integers("positions", [2]))
        self._apply("ReduceMean", self._cast(of_rows, TensorProto.DOUBLE), self._integers("rows", [0]), to=to)

    def _mixed(self, found: str, known: Array) -> str:
        if self._weight == 1:
            return found
        prior = self._channels("prior", (1 - self._weight) * known)
        return self._apply("Add", self._apply("Mul", found, self._channels("weight", np.array([self._weight]))), prior)

    def _cast(self, tensor: str, kind: int) -> str:
        return self._apply("Cast", tensor, to_type=kind)

    def _apply(self, operator: str, *inputs: str, to: str | None = None, to_type: int | None = None) -> str:
        name = to or f"{self._prefix}{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [name], name=f"{self._prefix}node_{len(self._nodes)}")
        if to_type is not None:
            node.attribute.append(helper.make_attribute("to", to_type))
        self._nodes.append(node)
        return name

    def _channels(self, field: str, values: Array) -> str:
        return self._constant(field, values.reshape(1, -1, 1))

    def _integers(self, field: str, values: Sequence[int]) -> str:
        return self._constant(field, np.array(values, dtype=np.int64))

    def _constant(self, field: str, array: NDArray[Any]) -> str:
        name = f"{self._prefix}{field}_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name
