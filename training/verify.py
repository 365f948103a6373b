"""This module proves that a folded graph computes the network's function: every output, and every tap, row by row.

The network runs in torch with its normalization layers in place and inference statistics; the graph runs in ONNX
Runtime with its taps as additional outputs. Both see the same rows. A bundle whose figures are beyond the tolerance
is not published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.manifest import AgreementRecord, CheckRecord, LayerRecord, VerificationRecord
from training.errors import VerificationError, one_line
from training.export import FoldedGraph
from training.normalization import normalization_layers

TOLERANCE = 1e-5
"""Largest relative error of a tensor. Float32 keeps 6e-8 an operation; ten layers of sums stay well below 1e-5."""

RANDOM_ROWS = 64

Arrays = dict[str, NDArray[Any]]


def verify(network: nn.Module, graph: FoldedGraph, real_rows: tuple[Tensor, ...], *, seed: int) -> VerificationRecord:
    """Compare a folded graph with its network on random and on real rows.

    Args:
        network: In inference mode.
        graph: What came of it.
        real_rows: One tensor an input, ``(rows, ...)``.
        seed: Of the random rows, which are Gaussian with each input's own mean and deviation over the real rows.

    Raises:
        VerificationError: If a tensor is missing, not finite, or further off than the tolerance; the text names it.
    """
    generator = torch.Generator().manual_seed(seed)
    random_rows = tuple(_gaussian_like(rows, generator) for rows in real_rows)
    observed = ObservedGraph(graph)
    record = VerificationRecord(
        reference=f"torch {torch.__version__}",
        runtime=f"onnxruntime {onnxruntime.__version__} on cpu",
        tolerance=TOLERANCE,
        checks=(
            CheckRecord(rows="random", num_rows=RANDOM_ROWS, **_compare(network, graph, observed, random_rows)),
            CheckRecord(rows="real", num_rows=len(real_rows[0]), **_compare(network, graph, observed, real_rows)),
        ),
    )
    _refuse_disagreement(record)
    return record


class ObservedGraph:
    """A folded graph whose taps can be read beside its outputs.

    Raises:
        VerificationError: If the graph has no tensor of a tap's name.
    """

    def __init__(self, graph: FoldedGraph) -> None:
        proto = onnx.load_from_string(graph.model)
        known = {name for node in proto.graph.node for name in node.output} | {i.name for i in proto.graph.input}
        self._inputs = [record.name for record in graph.inputs]
        self._names = [record.name for record in graph.outputs]
        for layer in graph.layers:
            if layer.tap.tensor not in known:
                raise VerificationError(f"{layer.name}: expected a tensor {layer.tap.tensor!r} in the graph, got none")
            if layer.tap.tensor not in self._names:
                proto.graph.output.append(onnx.ValueInfoProto(name=layer.tap.tensor))
                self._names.append(layer.tap.tensor)
        try:
            self._session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises its own kinds, which share no base
            raise VerificationError(f"graph: expected one that ONNX Runtime can load: {one_line(error)}") from error

    def run(self, rows: tuple[Tensor, ...]) -> Arrays:
        """Every output and every tapped tensor, by name, for one tensor an input."""
        feed = {name: tensor.numpy() for name, tensor in zip(self._inputs, rows, strict=True)}
        return dict(zip(self._names, self._session.run(self._names, feed), strict=True))


def run_observed(
    network: nn.Module, layers: Sequence[LayerRecord], rows: tuple[Tensor, ...]
) -> tuple[list[NDArray[Any]], Arrays]:
    """A network's outputs in order, and by layer name what each tapped layer took in or gave out.

    Raises:
        VerificationError: If a normalization layer runs that ``layers`` does not have, or the outputs are no tensors.
    """
    taps: Arrays = {}

    def observe(layer: LayerRecord) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            taps[layer.name] = (inputs[0] if layer.tap.side == "input" else output).detach().numpy().copy()

        return hook

    def refuse(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
            raise VerificationError(f"{name}: expected every normalization layer in the graph, this one is not")

        return hook

    modules = normalization_layers(network)
    known = {modules[layer.name] for layer in layers}
    handles = [modules[layer.name].register_forward_hook(observe(layer)) for layer in layers]
    handles += [m.register_forward_pre_hook(refuse(name)) for name, m in modules.items() if m not in known]
    try:
        with torch.no_grad():
            # copies: a network may change in place what it is given, and what its layers gave
            outputs = network(*(tensor.clone() for tensor in rows))
    finally:
        for handle in handles:
            handle.remove()
    return [_output(output) for output in (outputs if isinstance(outputs, tuple | list) else (outputs,))], taps


def _output(output: object) -> NDArray[Any]:
    if not isinstance(output, Tensor):
        raise VerificationError(f"network: expected a tensor or several as outputs, got {type(output).__name__}")
    array: NDArray[Any] = output.detach().numpy()
    return array


def _gaussian_like(rows: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn((RANDOM_ROWS, *rows.shape[1:]), generator=generator)
    return (noise * rows.float().std() + rows.float().mean()).to(rows.dtype)


def _compare(
    network: nn.Module, graph: FoldedGraph, observed: ObservedGraph, rows: tuple[Tensor, ...]
) -> Mapping[str, tuple[AgreementRecord, ...]]:
    found = observed.run(rows)
    outputs, taps = run_observed(network, graph.layers, rows)
    return {
        "outputs": tuple(
            _agreement(record.name, found[record.name], output)
            for record, output in zip(graph.outputs, outputs, strict=True)
        ),
        "taps": tuple(_agreement(layer.name, found[layer.tap.tensor], taps[layer.name]) for layer in graph.layers),
    }


def _agreement(name: str, found: NDArray[Any], expected: NDArray[Any]) -> AgreementRecord:
    if found.shape != expected.shape:
        raise VerificationError(f"{name}: expected shape {expected.shape}, got {found.shape}")
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        raise VerificationError(f"{name}: expected finite values, got NaN or infinity")
    error = float(np.abs(found.astype(np.float64) - expected).max())
    largest = float(np.abs(expected).max())
    return AgreementRecord(
        name=name, max_absolute_error=error, max_relative_error=error / largest if largest else error
    )


def _refuse_disagreement(record: VerificationRecord) -> None:
    for check in record.checks:
        for agreement in (*check.outputs, *check.taps):
            if agreement.max_relative_error > record.tolerance:
                raise VerificationError(
                    f"{agreement.name}: on {check.rows} rows the folded graph is {agreement.max_relative_error:.2g} "
                    f"off the network, relative to its largest value; at most {record.tolerance:g} is allowed"
                )
