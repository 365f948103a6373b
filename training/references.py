"""This module runs what a folded graph has to agree with: the network in torch, or the unfolded graph.

Either gives its outputs, and what every normalization layer took or gave on the way.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.manifest import LayerRecord
from training.errors import VerificationError, one_line
from training.folding.sites import OPERATOR, name_of_call
from training.tracing import Signature

Arrays = dict[str, NDArray[Any]]

MEAN_POSITION: Mapping[Any, int] = {functional.batch_norm: 1, torch.batch_norm: 3}
"""The functions that normalize, and which of their arguments the running mean is."""


class Reference(Protocol):
    """What a folded graph has to agree with."""

    @property
    def name(self) -> str:
        """What computes it, and in which version."""

    def run(self, rows: Sequence[Tensor], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """The outputs in order, and by layer name what each layer took or gave, whichever its tap shows.

        Raises:
            VerificationError: If a layer is not reached.
        """

    def exact(self) -> Reference | None:
        """The same in float64; None where it can't be computed so."""


class TorchReference:
    """A network in inference mode, its normalization layers in place."""

    def __init__(self, network: nn.Module, signature: Signature) -> None:
        self.name = f"torch {torch.__version__}"
        self._network = network
        self._signature = signature

    def run(self, rows: Sequence[Tensor], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """See ``Reference``."""
        with NormalizationCalls(self._network, {layer.name: layer.tap.side for layer in layers}) as calls:
            outputs = self._signature.call(self._network, rows)
        _refuse_unreached(layers, calls.observed)
        return [output.cpu().numpy() for output in outputs], calls.observed

    def exact(self) -> Reference | None:
        """See ``Reference``; the network stays as it is."""
        return _DoubleReference(copy.deepcopy(self._network).double(), self._signature)


class _DoubleReference(TorchReference):
    def run(self, rows: Sequence[Tensor], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        return super().run([row.double() if row.is_floating_point() else row for row in rows], layers)


class NormalizationCalls(TorchFunctionMode):
    """While entered, keeps what normalization layers take or give, each under the name that the graph knows it by.

    A layer need not be a module: any call of ``batch_norm`` is one. Modules are followed only to name it.

    Args:
        network: Whose calls.
        sides: By layer name, whether to keep its input or its output.
    """

    def __init__(self, network: nn.Module, sides: Mapping[str, str]) -> None:
        super().__init__()
        self.observed: Arrays = {}
        self._sides = sides
        self._names: dict[nn.Module, list[str]] = {}
        for name, module in network.named_modules(remove_duplicate=False):
            self._names.setdefault(module, []).append(name)
        self._tensors = {id(buffer): name.rpartition(".")[2] for name, buffer in network.named_buffers()}
        self._running: list[nn.Module] = []
        self._calls: Counter[str] = Counter()
        self._handles: list[Any] = []

    def __enter__(self) -> NormalizationCalls:
        for module in self._names:
            self._handles += [
                module.register_forward_pre_hook(lambda module, _: self._running.append(module)),
                module.register_forward_hook(lambda *_: self._leave(), always_call=True),
            ]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_function__(  # torch's own signature
        self,
        function: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call the function; if it normalizes, keep what is asked for."""
        named = kwargs or {}
        result = function(*args, **named)
        if (position := MEAN_POSITION.get(function)) is not None:
            mean = named["running_mean"] if "running_mean" in named else args[position]
            self._keep(args[0] if args else named["input"], mean, result)
        return result

    def _leave(self) -> None:
        self._running.pop()

    def _keep(self, taken: Tensor, running_mean: Tensor | None, given: Tensor) -> None:
        module = self._running[-1]
        mean = self._tensors.get(id(running_mean), "")
        for alias in self._names[module]:
            name = name_of_call(alias, mean)
            self._calls[name] += 1
            name = name if self._calls[name] == 1 else f"{name}@{self._calls[name]}"
            if name in self._sides:
                kept = taken if self._sides[name] == "input" else given
                self.observed[name] = kept.detach().cpu().numpy().copy()


class GraphReference:
    """An unfolded graph under ONNX Runtime, run as written; its normalization nodes are named after their layers."""

    def __init__(self, unfolded: bytes) -> None:
        self.name = f"onnxruntime {onnxruntime.__version__}, unfolded and unoptimized"
        self._graph = onnx.load_from_string(unfolded)
        self._sessions: dict[tuple[str, ...], GraphSession] = {}

    def run(self, rows: Sequence[Tensor], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """See ``Reference``."""
        nodes = {node.name: node for node in self._graph.graph.node if node.op_type == OPERATOR}
        tensors = {
            layer.name: nodes[layer.name].input[0] if layer.tap.side == "input" else nodes[layer.name].output[0]
            for layer in layers
            if layer.name in nodes
        }
        _refuse_unreached(layers, tensors)
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
        options.log_severity_level = 4  # what the runtime has against a graph is said once, by the error below
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(
                observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises its own kinds, which share no base
            raise VerificationError(f"graph: expected one that ONNX Runtime can load: {one_line(error)}") from error

    def run(self, rows: Sequence[Tensor]) -> Arrays:
        """Every output, every further tensor and every input, by name, for one tensor an input.

        Raises:
            VerificationError: If the runtime can't run it.
        """
        feed = {name: tensor.numpy() for name, tensor in zip(self._inputs, rows, strict=True)}
        try:
            found = self._session.run(self._names, feed)
        except Exception as error:
            raise VerificationError(f"graph: expected one that ONNX Runtime can run: {one_line(error)}") from error
        return feed | dict(zip(self._names, found, strict=True))


def _refuse_unreached(layers: Sequence[LayerRecord], reached: Mapping[str, object]) -> None:
    for layer in layers:
        if layer.name not in reached:
            raise VerificationError(f"{layer.name}: expected this normalization layer to be reached, it is not")
