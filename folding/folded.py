"""This module is a folded graph: one ONNX file, and what is known of its tensors and normalization layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from folding import graph
from folding.errors import BatchAxisError, FoldingError, TensorError
from folding.rules import Verdict, fold
from folding.rules.sites import name_layers
from models.bundle import Bundle
from models.datatypes import Datatype
from models.layers import NormalizationLayer, TapMap
from models.manifest import FoldMode, LayerRecord, ScaleRecord, TensorRecord, UntrackedRecord

DATATYPES: Mapping[ir.DataType, Datatype] = {
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
    """A network as one ONNX file, and what is known of its tensors and normalization layers.

    Attributes:
        mode: How far it was folded.
        model: The file.
        unfolded: The same graph before folding, tidied alike, its normalization nodes named after their layers; folding
            it gives the same again.
        inputs: As clients see them.
        outputs: As clients see them.
        layers: What became of every normalization layer.
        untracked: Nodes that normalize without statistics of the training data.
        normalization: Parameters and statistics of ``layers``.
        tap_maps: What the tap of a layer holds of it, where that is not simply what the layer took or gave.
    """

    mode: FoldMode
    model: bytes
    unfolded: bytes
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    layers: tuple[LayerRecord, ...]
    untracked: tuple[UntrackedRecord, ...]
    normalization: tuple[NormalizationLayer, ...]
    tap_maps: Mapping[str, TapMap]

    @classmethod
    def of(cls, bundle: Bundle) -> FoldedGraph:
        """A bundle's, as it lies there; without the unfolded graph, which ``stored_graph`` reads.

        Raises:
            BundleError: If a file of the bundle is damaged.
        """
        manifest = bundle.manifest
        return cls(
            mode=manifest.folding.mode,
            model=bundle.model_path.read_bytes(),
            unfolded=b"",
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            layers=manifest.layers,
            untracked=manifest.untracked,
            normalization=bundle.normalization(),
            tap_maps=bundle.tap_maps(),
        )


@dataclass(frozen=True, slots=True)
class LayerSource:
    """What the network says of a layer that the graph does not."""

    kind: str
    momentum: float | None
    num_batches_tracked: int | None


def fold_graph(
    model: ir.Model, *, mode: FoldMode, sources: Callable[[str], LayerSource], allow_untrained: bool = False
) -> FoldedGraph:
    """Fold a graph in which every normalization layer is one node; the model is changed in place.

    Args:
        model: As it was exported or read.
        mode: How far.
        sources: What is known of a layer, by its name.
        allow_untrained: Whether layers whose statistics no data has updated are taken.

    Raises:
        FoldingError: If a layer's figures are no statistics, or no data has updated them.
        TensorError: If an input or output can't be served.
    """
    graph.prepare(model)
    unfolded = model.clone()
    tidy_unfolded(unfolded)
    folding = fold(model, mode=mode)
    layers = tuple(_layer_record(verdict, sources(verdict.layer.name)) for verdict in folding.verdicts)
    if not allow_untrained:
        _refuse_untrained(folding.verdicts, layers)
    graph.clean_up(model, [verdict.tap.tensor for verdict in folding.verdicts])
    return FoldedGraph(
        mode=mode,
        model=graph.serialize(model),
        unfolded=graph.serialize(unfolded),
        inputs=tuple(_tensor_record(value) for value in model.graph.inputs),
        outputs=tuple(_tensor_record(value) for value in model.graph.outputs),
        layers=layers,
        untracked=tuple(
            UntrackedRecord(name=untracked.name, channels=untracked.channels, reason=untracked.reason)
            for untracked in folding.untracked
        ),
        normalization=tuple(verdict.layer for verdict in folding.verdicts),
        tap_maps={
            verdict.layer.name: TapMap(*verdict.tap_map) for verdict in folding.verdicts if verdict.tap_map is not None
        },
    )


def tidy_unfolded(model: ir.Model) -> None:
    """Tidy a prepared graph that stays unfolded, in place; its normalization nodes are named after their layers."""
    graph.clean_up(model, [], node_names=name_layers(model), keep_scopes=True)


def _refuse_untrained(verdicts: Sequence[Verdict], layers: Sequence[LayerRecord]) -> None:
    for verdict, record in zip(verdicts, layers, strict=True):
        layer = verdict.layer
        if record.num_batches_tracked in (0, None) and (layer.mean == 0).all() and (layer.variance == 1).all():
            raise FoldingError(
                f"{layer.name}: expected statistics that data has updated, got those of a new layer (mean 0, variance "
                "1, no batches); load a checkpoint, or allow untrained layers if that is what you mean"
            )


def _tensor_record(value: ir.Value) -> TensorRecord:
    assert value.name is not None
    if value.shape is None:
        raise TensorError(f"{value.name}: expected a tensor of a known number of axes")
    if value.dtype is None or value.dtype not in DATATYPES:
        raise TensorError(f"{value.name}: expected a datatype that can be served, got {value.dtype}")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    if not shape or shape[0] != -1:
        raise BatchAxisError(f"{value.name}: expected a first axis that varies with the rows, got shape {list(shape)}")
    return TensorRecord(name=value.name, datatype=DATATYPES[value.dtype], shape=shape)


def _layer_record(verdict: Verdict, source: LayerSource) -> LayerRecord:
    layer = verdict.layer
    scale = np.abs(layer.scale)
    median = float(np.median(scale))
    return LayerRecord(
        name=layer.name,
        kind=source.kind,
        channels=layer.channels,
        eps=layer.eps,
        momentum=source.momentum,
        num_batches_tracked=source.num_batches_tracked,
        placement=verdict.placement,
        into=verdict.into,
        reason=verdict.reason,
        tap=verdict.tap,
        scale=ScaleRecord(max=float(scale.max()), max_over_median=float(scale.max()) / median if median else None),
    )
