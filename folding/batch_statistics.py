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
from onnx import TensorProto

from folding.errors import RecalibrationError, VerificationError
from folding.nodes import Nodes
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
    model = onnx.load_from_string(unfolded)
    parts = {
        layer.name: _Layer(Nodes.of(model, f"{INSIDE}{index}/"), f"{INSIDE}{index}/", layer, weight)
        for index, layer in enumerate(layers)
    }
    model = _by_batch(model, parts)
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

    def __init__(self, nodes: Nodes, prefix: str, layer: NormalizationLayer, weight: float) -> None:
        self._nodes = nodes
        self._prefix = prefix
        self._layer = layer
        self._weight = weight

    @property
    def constants(self) -> list[onnx.TensorProto]:
        """What the nodes need."""
        return self._nodes.constants

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
        nodes, taken, given = self._nodes, node.input[0], node.output[0]
        mean, variance, shape = self.figures
        values = self._cast(nodes.apply("Reshape", taken, nodes.integers(0, 0, -1)), TensorProto.FLOAT)
        nodes.apply("Shape", values, name=shape)
        self._mean(values, to=mean)
        centred = nodes.apply("Sub", values, self._cast(mean, TensorProto.FLOAT))
        self._mean(nodes.apply("Mul", centred, centred), to=variance)
        used_mean, used_variance = self._mixed(mean, self._layer.mean), self._mixed(variance, self._layer.variance)
        scale = nodes.apply(
            "Div",
            self._channels(self._layer.gamma),
            nodes.apply("Sqrt", nodes.apply("Add", used_variance, self._channels(np.array([self._layer.eps])))),
        )
        # the values are centred by the batch already; what is left is 0 without a prior
        offset = nodes.apply("Mul", nodes.apply("Sub", mean, used_mean), scale)
        shift = nodes.apply("Add", offset, self._channels(self._layer.beta))
        scaled = nodes.apply("Mul", centred, self._cast(scale, TensorProto.FLOAT))
        shifted = nodes.apply("Add", scaled, self._cast(shift, TensorProto.FLOAT))
        laid = nodes.apply("Reshape", shifted, nodes.apply("Shape", taken))
        nodes.apply("CastLike", laid, taken, name=given)
        return nodes.nodes

    def _mean(self, tensor: str, *, to: str) -> None:
        of_rows = self._cast(self._nodes.reduce("ReduceMean", tensor, [2]), TensorProto.DOUBLE)
        self._nodes.reduce("ReduceMean", of_rows, [0], name=to)

    def _mixed(self, found: str, known: Array) -> str:
        if self._weight == 1:
            return found
        weighted = self._nodes.apply("Mul", found, self._channels(np.array([self._weight])))
        return self._nodes.apply("Add", weighted, self._channels((1 - self._weight) * known))

    def _cast(self, tensor: str, kind: int) -> str:
        return self._nodes.apply("Cast", tensor, to=kind)

    def _channels(self, values: Array) -> str:
        return self._nodes.constant(values.reshape(1, -1, 1))
