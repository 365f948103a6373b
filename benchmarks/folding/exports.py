"""This module makes the graphs that are compared: torch's own export, and folded ones."""

from __future__ import annotations

import warnings
from collections import Counter

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from folding.folded import FoldedGraph, LayerSource, fold_graph
from models.manifest import FoldMode
from training.tracing import Signature, read_signature, trace

INPUT = "input"

SOURCE = LayerSource("BatchNorm", None, 1)
"""What is said of every layer; no result depends on it."""


def export_by_torch(network: nn.Module, rows: Tensor) -> bytes:
    """The network as torch exports it by itself, optimized, with a batch of any size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        program = torch.onnx.export(
            network,
            (rows,),
            dynamo=True,
            optimize=True,
            verbose=False,
            input_names=[INPUT],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            external_data=False,
        )
    assert program is not None
    return bytes(ir.to_proto(program.model).SerializeToString())


def trace_network(network: nn.Module, rows: Tensor) -> tuple[Signature, ir.Model]:
    """The network as this project has torch trace it, and how it is called."""
    signature, tensors = read_signature(network, rows, input_names=[INPUT])
    return signature, trace(network, signature, tensors)


def fold_model(model: ir.Model, mode: FoldMode) -> FoldedGraph:
    """A traced network, folded; the model stays as it is."""
    return fold_graph(model.clone(), mode=mode, sources=lambda _: SOURCE)


def operators(model: bytes) -> Counter[str]:
    """How often each operator is in a graph."""
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
