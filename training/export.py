"""This module turns a network into a folded graph: torch, ONNX with every layer still in place, folded ONNX."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from torch import Tensor, nn

from models.datatypes import Datatype
from models.layers import NormalizationLayer
from models.manifest import LayerRecord, TensorRecord
from training import graph
from training.errors import ExportError
from training.folding import Verdict, fold
from training.normalization import normalization_layers, read_layer

DATATYPES: dict[ir.DataType, Datatype] = {
    ir.DataType.BOOL: "BOOL",
    ir.DataType.UINT8: "UINT8",
    ir.DataType.UINT16: "UINT16",
    ir.DataType.UINT32: "UINT32",
    ir.DataType.UINT64: "UINT64",
    ir.DataType.INT8: "INT8",
    ir.DataType.INT16: "INT16",
    ir.DataType.INT32: "INT32",
    ir.DataType.INT64: "INT64",
    ir.DataType.FLOAT16: "FP16",
    ir.DataType.FLOAT: "FP32",
    ir.DataType.DOUBLE: "FP64",
}


@dataclass(frozen=True, slots=True)
class FoldedGraph:
    """A network as one ONNX file, and what is known of its tensors and normalization layers."""

    model: bytes
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    layers: tuple[LayerRecord, ...]
    normalization: tuple[NormalizationLayer, ...]


def export_graph(
    network: nn.Module, example: tuple[Tensor, ...], *, input_names: Sequence[str], output_names: Sequence[str]
) -> FoldedGraph:
    """Export a network in inference mode, with a batch of any size, and fold its normalization layers.

    Args:
        network: In inference mode (``network.eval()``).
        example: One tensor an input, at least two rows each: torch takes a size of one for a constant.
        input_names: As clients will call them.
        output_names: As clients will call them.

    Raises:
        ExportError: If the network is in training mode, or torch can't trace it.
        FoldingError: If a layer's figures are no statistics.
    """
    _refuse_training_mode(network)
    if any(len(tensor) < 2 for tensor in example):
        raise ExportError("example: expected at least two rows in every input, got fewer")
    layers = normalization_layers(network)
    for name, module in layers.items():
        if module.track_running_stats:
            _check_statistics(name, module)
    model = _trace(network, example, input_names, output_names)
    graph.prepare(model)
    verdicts = fold(model)
    graph.clean_up(model, [verdict.tap.tensor for verdict in verdicts])
    return FoldedGraph(
        model=graph.serialize(model),
        inputs=tuple(_tensor_record(value) for value in model.graph.inputs),
        outputs=tuple(_tensor_record(value) for value in model.graph.outputs),
        layers=tuple(_layer_record(verdict, layers) for verdict in verdicts),
        normalization=tuple(verdict.layer for verdict in verdicts),
    )


def _refuse_training_mode(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if module.training:
            raise ExportError(
                f"{name or 'network'}: expected inference mode, got training mode; call network.eval() first"
            )


def _check_statistics(name: str, module: nn.modules.batchnorm._BatchNorm) -> None:
    try:
        read_layer(name, module)
    except ValueError as error:
        raise ExportError(str(error)) from error


def _trace(
    network: nn.Module, example: tuple[Tensor, ...], input_names: Sequence[str], output_names: Sequence[str]
) -> ir.Model:
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in example),
            )
        except Exception as error:  # torch raises dozens of kinds here, and all mean this
            cause = _root_cause(error)
            raise ExportError(f"network: expected a module that torch.export can trace: {cause}") from error
    assert program is not None
    passes.OutputFixPass()(program.model)
    for value, name in zip(program.model.graph.outputs, output_names, strict=True):
        value.name = name  # where two are one tensor, the exporter named it once
    return program.model


def _root_cause(error: BaseException) -> str:
    """The first line of the error at the bottom, without the exporter's colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Leave out the exporter's notes on packages that are not there; its errors come through as exceptions."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _tensor_record(value: ir.Value) -> TensorRecord:
    assert value.name is not None
    assert value.shape is not None
    if value.dtype not in DATATYPES:
        raise ExportError(f"{value.name}: expected a datatype that can be served, got {value.dtype}")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return TensorRecord(name=value.name, datatype=DATATYPES[value.dtype], shape=shape)


def _layer_record(verdict: Verdict, layers: dict[str, nn.modules.batchnorm._BatchNorm]) -> LayerRecord:
    layer = verdict.layer
    if layer.name not in layers:
        raise ExportError(
            f"{layer.name}: expected every normalization layer to be a module with a name in the network, got "
            "a function call or the network itself"
        )
    module = layers[layer.name]
    tracked = module.num_batches_tracked
    return LayerRecord(
        name=layer.name,
        kind=type(module).__name__,
        channels=layer.channels,
        eps=layer.eps,
        momentum=module.momentum,
        num_batches_tracked=None if tracked is None else int(tracked),
        placement=verdict.placement,
        into=verdict.into,
        reason=verdict.reason,
        tap=verdict.tap,
    )
