"""This module folds a published bundle anew, from the unfolded graph that it brings along.

So a version that was folded as far as ONNX Runtime gets faster by it can be had as one in which nothing is left to
fold, for other runtimes or for quantization, and the other way round, wherever its network came from and without it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from folding.folded import FoldedGraph, LayerSource, fold_graph
from folding.proof import complete, draft
from folding.references import GraphReference
from folding.stored_graph import read_graph
from folding.verify import verify
from models.bundle import PARAMETERS_FILE, SOURCE_FILE, Bundle
from models.draft import BundleDraft
from models.manifest import FoldMode
from models.observed_rows import Columns
from models.observing import Observing


def refold_bundle(bundle: Bundle, *, mode: FoldMode) -> BundleDraft:
    """Fold a bundle's unfolded graph as far as asked for, prove it against that graph, and draft the next version.

    The sample is the same, and so are the atoms of its inputs, and the calibration where the same channels can be
    observed: it is in training deviations, whatever holds them.

    Args:
        bundle: Its files are intact; it stays as it is.
        mode: How far to fold.

    Raises:
        GraphError: If the graph can't be folded so.
        BundleError: If a file of the bundle is damaged.
    """
    manifest = bundle.manifest
    unfolded = read_graph(bundle.unfolded_path)
    graph = refold(bundle, unfolded, mode=mode)
    reference, seed = GraphReference(unfolded), manifest.version
    inputs = bundle.sample().inputs
    rows = [inputs[record.name] for record in graph.inputs]
    verification = verify(reference, graph, rows, real=True, seed=seed)
    exported = complete(graph, reference, verification, rows, held_out=None, seed=seed, atoms=bundle.atoms())
    return draft(
        replace(exported, observing=_kept(bundle, graph, exported.observing)),
        name=manifest.name,
        network=manifest.network,
        labels=manifest.labels,
        training=manifest.training,
        recalibration=manifest.recalibration,
        moving_averages=bundle.moving_averages(),
        **_origin(bundle),
    )


def refold(bundle: Bundle, unfolded: bytes, *, mode: FoldMode) -> FoldedGraph:
    """Fold a graph that has a bundle's layers; it is kept as the unfolded one, to the byte.

    Args:
        bundle: It says what a graph does not of its layers.
        unfolded: Its own unfolded graph, or one with other statistics in it.
        mode: How far to fold.

    Raises:
        FoldingError: If a layer's figures are no statistics.
    """
    records = {layer.name: layer for layer in bundle.manifest.layers}

    def source(name: str) -> LayerSource:
        record = records[name]
        return LayerSource(record.kind, record.momentum, record.num_batches_tracked)

    model = ir.from_proto(onnx.load_from_string(unfolded))
    return replace(fold_graph(model, mode=mode, sources=source, allow_untrained=True), unfolded=unfolded)


def _kept(bundle: Bundle, graph: FoldedGraph, observing: Observing | None) -> Observing | None:
    """What the graph is observed by, with the bundle's calibration where that holds for it."""
    before = bundle.columns()
    if before is None or observing is None:
        return observing
    after = Columns.of(graph.layers, graph.normalization, graph.tap_maps, observing.atoms)
    same = np.array_equal(before.observable, after.observable)
    return replace(observing, calibration=bundle.calibration() if same else None)


def _origin(bundle: Bundle) -> dict[str, Any]:
    """The field of the draft that holds what the bundle was made from; none where it is the unfolded graph itself."""
    if PARAMETERS_FILE in bundle.manifest.files:
        return {"parameters": bundle.parameters()}
    if SOURCE_FILE in bundle.manifest.files:
        return {"source": bundle.source()}
    return {}
