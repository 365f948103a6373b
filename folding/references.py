"""This module runs what a folded graph has to agree with: the unfolded graph, or what else gives the same figures.

A reference gives its outputs, and what every normalization layer took or gave on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import onnx
import onnxruntime
from numpy.typing import NDArray

from folding.errors import VerificationError, one_line
from folding.rules.sites import normalizes
from models.cpus import quota_threads
from models.manifest import LayerRecord

Arrays = dict[str, NDArray[Any]]


class Reference(Protocol):
    """What a folded graph has to agree with."""

    @property
    def name(self) -> str:
        """What computes it, and in which version."""

    def run(self, rows: Sequence[NDArray[Any]], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """The outputs in order, and by layer name what each layer took or gave, whichever its tap shows.

        Args:
            rows: One array an input, ``(rows, ...)``.
            layers: Those that are asked for.

        Raises:
            VerificationError: If a layer is not reached.
        """

    def exact(self) -> Reference | None:
        """The same in float64; None where it can't be computed so."""


class GraphReference:
    """An unfolded graph under ONNX Runtime, run as written; its normalization nodes are named after their layers."""

    def __init__(self, unfolded: bytes) -> None:
        self.name = f"onnxruntime {onnxruntime.__version__}, unfolded and unoptimized"
        self._graph = onnx.load_from_string(unfolded)
        self._sessions: dict[tuple[str, ...], GraphSession] = {}

    def run(self, rows: Sequence[NDArray[Any]], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """See ``Reference``."""
        nodes = {node.name: node for node in filter(normalizes, self._graph.graph.node)}
        tensors = {
            layer.name: nodes[layer.name].input[0] if layer.tap.side == "input" else nodes[layer.name].output[0]
            for layer in layers
            if layer.name in nodes
        }
        refuse_unreached(layers, tensors)
        wanted = tuple(tensors.values())
        if wanted not in self._sessions:
            self._sessions[wanted] = GraphSession(self._graph, wanted, optimize=False)
        found = self._sessions[wanted].run(rows)
        outputs = [found[output.name] for output in self._graph.graph.output]
        return outputs, {name: found[tensor] for name, tensor in tensors.items()}

    def exact(self) -> Reference | None:
        """See ``Reference``; ONNX Runtime has no convolution in float64."""
        return None


class GraphSession:
    """A graph in ONNX Runtime of which further tensors can be read beside its outputs.

    Raises:
        VerificationError: If the graph has no tensor of a name, or the runtime can't load it.
    """

    def __init__(self, graph: onnx.ModelProto, tensors: Sequence[str], *, optimize: bool = True) -> None:
        self._inputs = [value.name for value in graph.graph.input]
        outputs = [value.name for value in graph.graph.output]
        observed = onnx.ModelProto()
        observed.CopyFrom(graph)
        further = [name for name in dict.fromkeys(tensors) if name not in (*outputs, *self._inputs)]
        observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in further)
        self._names = outputs + further
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = quota_threads()
        options.log_severity_level = 4  # what the runtime has against a graph is said once, by the error below
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(
                observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises its own kinds, which share no base
            raise VerificationError(f"graph: expected one that ONNX Runtime can load: {one_line(error)}") from error

    def run(self, rows: Sequence[NDArray[Any]]) -> Arrays:
        """Every output, every further tensor and every input, by name, for one array an input.

        Raises:
            VerificationError: If the runtime can't run it.
        """
        feed = dict(zip(self._inputs, rows, strict=True))
        try:
            found = self._session.run(self._names, feed)
        except Exception as error:
            raise VerificationError(f"graph: expected one that ONNX Runtime can run: {one_line(error)}") from error
        return feed | dict(zip(self._names, found, strict=True))


def refuse_unreached(layers: Sequence[LayerRecord], reached: Mapping[str, object]) -> None:
    """Raise VerificationError, by name, for a layer that is not among those that were reached."""
    for layer in layers:
        if layer.name not in reached:
            raise VerificationError(f"{layer.name}: expected this normalization layer to be reached, it is not")
