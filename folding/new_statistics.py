"""This module writes new statistics of normalization layers into whatever a bundle keeps the old ones in.

That is the unfolded graph, in which a layer's node names the tensors of its mean and variance; and what the graph was
made from, the network's parameters or an imported file, in which tensors of the same names hold the same numbers.
Where that is not so, since the graph computed or copied them, what it was made from can't be brought up to date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from folding.rules.sites import normalizes
from models.bundle import Arrays
from models.layers import NormalizationLayer
from models.moments import Array

FIELDS = ((3, "running_mean"), (4, "running_var"))
"""Which inputs of a normalization node its statistics are, and what they are called where they need a name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One tensor of statistics, in its own datatype."""

    old: NDArray[Any]
    new: NDArray[Any]


@dataclass(frozen=True, slots=True)
class RenewedGraph:
    """An unfolded graph with new statistics.

    Attributes:
        model: The file.
        changes: By name, every tensor that was changed; None where one tensor held what now differs.
    """

    model: bytes
    changes: Mapping[str, Change] | None


def layers_that_share(unfolded: bytes, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The layers, together where they are several uses of one: ``norm``, ``norm@2`` that read the same statistics."""
    groups: dict[tuple[str, ...], list[str]] = {}
    nodes = {node.name: node for node in filter(normalizes, onnx.load_from_string(unfolded).graph.node)}
    for name in names:
        tensors = [nodes[name].input[index] for index, _ in FIELDS] if name in nodes else [name]
        groups.setdefault((name.partition("@")[0], *tensors), []).append(name)
    return [tuple(group) for group in groups.values()]


def renew_graph(unfolded: bytes, layers: Iterable[NormalizationLayer]) -> RenewedGraph:
    """An unfolded graph in which the nodes named after the layers have these layers' statistics."""
    model = onnx.load_from_string(unfolded)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(_names_read(model.graph))
    nodes = {node.name: node for node in filter(normalizes, model.graph.node)}
    wanted: dict[str, list[tuple[onnx.NodeProto, int, str, Array]]] = {}
    for layer in layers:
        node = nodes[layer.name]
        for (index, field), array in zip(FIELDS, (layer.mean, layer.variance), strict=True):
            wanted.setdefault(node.input[index], []).append((node, index, f"{layer.name}.{field}", array))
    changes: dict[str, Change] | None = {}
    for name, wishes in wanted.items():
        old = numpy_helper.to_array(tensors[name])
        news = [array.astype(old.dtype) for *_, array in wishes]
        if uses[name] == len(wishes) and all(np.array_equal(new, news[0]) for new in news):
            tensors[name].CopyFrom(numpy_helper.from_array(news[0], name))
            if changes is not None:
                changes[name] = Change(old, news[0])
            continue
        changes = None
        for (node, index, own, _), new in zip(wishes, news, strict=True):
            free = _free_name(own, {*tensors, *uses})
            model.graph.initializer.append(numpy_helper.from_array(new, free))
            tensors[free] = model.graph.initializer[-1]
            node.input[index] = free
    return RenewedGraph(bytes(model.SerializeToString()), changes)


def renew_parameters(parameters: Arrays, changes: Mapping[str, Change]) -> Arrays | None:
    """A network's parameters with new statistics; None where they have not all of the old ones under these names.

    A module that has several names has its parameters under each of them: what is called alike, holds the same, and
    is none of the graph's is changed too.
    """
    if not all(name in parameters and _same(parameters[name], change.old) for name, change in changes.items()):
        return None
    renewed = dict(parameters)
    for name, change in changes.items():
        for other, array in parameters.items():
            alias = other not in changes and _field(other) == _field(name) and _same(array, change.old)
            if other == name or alias:
                renewed[other] = change.new
    return renewed


def renew_source(source: bytes, changes: Mapping[str, Change]) -> bytes | None:
    """An imported file with new statistics; None where it has not all of the old ones under these names, for no other.

    Args:
        source: All its data is inside.
        changes: By the name of the tensor.
    """
    model = onnx.load_from_string(source)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(_names_read(model.graph))
    read = Counter(
        node.input[index]
        for node in filter(normalizes, model.graph.node)
        for index, _ in FIELDS
        if len(node.input) > index
    )
    for name, change in changes.items():
        if name not in tensors or uses[name] != read[name]:
            return None
        if not _same(numpy_helper.to_array(tensors[name]), change.old):
            return None
        tensors[name].CopyFrom(numpy_helper.from_array(change.new, name))
    return bytes(model.SerializeToString())


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """What nodes read and what is given, once a use; in the graphs inside a graph too."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _names_read(inner)


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += ".new"
    return name


def _field(name: str) -> str:
    return name.rpartition(".")[2]


def _same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return found.dtype == expected.dtype and np.array_equal(found, expected)
