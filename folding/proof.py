"""This module proves a folded graph, measures it, makes it observable, and drafts the bundle that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from folding.folded import FoldedGraph
from folding.observable import make_observable
from folding.precision import precision_warnings
from folding.references import Reference
from folding.rules.sites import OPERATOR
from folding.speed import measure_speedup
from folding.stored_graph import store_graph
from folding.verify import random_like, values_a_row, verify
from models.atoms import Atoms
from models.bundle import PARAMETERS_FILE, SOURCE_FILE, Arrays, Sample
from models.draft import BundleDraft, pack_arrays
from models.manifest import FoldingRecord, GraphRecord, NetworkRecord, VerificationRecord
from models.observing import Observing

SAMPLE_ROWS = 16
SAMPLE_VALUES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A graph that was folded and verified, ready to be published."""

    graph: FoldedGraph
    verification: VerificationRecord
    folding: FoldingRecord
    sample: Sample
    observing: Observing | None


def prove(
    graph: FoldedGraph, reference: Reference, rows: Sequence[NDArray[Any]], *, real: bool, seed: int = 0
) -> Export:
    """Verify a folded graph against its reference, and measure it.

    Args:
        graph: What was folded.
        reference: What it has to agree with.
        rows: One array an input.
        real: Whether they are real rows; then they calibrate the scores of its layers, as rows that are held out.
        seed: Of the random rows, and of the windows of the calibration.

    Raises:
        VerificationError: If they do not agree.
    """
    verification = verify(reference, graph, rows, real=real, seed=seed)
    generator = np.random.default_rng(seed)
    count = max(2, min(SAMPLE_ROWS, SAMPLE_VALUES // values_a_row(rows)))
    sample = [array[:count] if real else random_like(array, count, generator) for array in rows]
    return complete(graph, reference, verification, sample, held_out=rows if real else None, seed=seed)


def complete(  # noqa: PLR0913  all but what was verified is by name
    graph: FoldedGraph,
    reference: Reference,
    verification: VerificationRecord,
    sample: Sequence[NDArray[Any]],
    *,
    held_out: Sequence[NDArray[Any]] | None,
    seed: int,
    speedup: float | None = None,
    atoms: tuple[Atoms, ...] = (),
) -> Export:
    """What a verified graph needs to be published.

    Args:
        graph: What was folded.
        reference: What it agrees with; it answers the sample.
        verification: The proof that it does.
        sample: A few rows, one array an input.
        held_out: Rows that the network was not fitted to, one array an input; None if there are none.
        seed: Of the windows that are drawn from them.
        speedup: How much faster it is than before folding; measured on the sample's first row if it is not known.
        atoms: Of its inputs, if they are known; found in the held-out rows if there are any.
    """
    outputs, _ = reference.run(sample, [])
    feed = {record.name: array for record, array in zip(graph.inputs, sample, strict=True)}
    if speedup is None:
        first = {name: array[:1] for name, array in feed.items()}
        speedup = round(measure_speedup(graph.unfolded, graph.model, first), 3)
    return Export(
        graph=graph,
        verification=verification,
        folding=_folding_record(graph, speedup),
        sample=Sample(feed, {record.name: array for record, array in zip(graph.outputs, outputs, strict=True)}),
        observing=make_observable(graph, sample, held_out=held_out, seed=seed, atoms=atoms),
    )


def draft(
    exported: Export,
    *,
    name: str,
    network: NetworkRecord,
    parameters: Arrays | None = None,
    source: bytes | None = None,
    **known: Any,  # noqa: ANN401  the labels, the records
) -> BundleDraft:
    """The bundle that an export becomes.

    Args:
        exported: What was proved.
        name: Of the model.
        network: Where it came from.
        parameters: The network's own, before folding.
        source: The file that was imported, in their place.
        known: Further fields of the draft: ``labels``, ``training``, ``moving_averages``, ``recalibration``.
    """
    graph = exported.graph
    beside = {} if parameters is None else {PARAMETERS_FILE: pack_arrays(parameters)}
    if source is not None:
        beside[SOURCE_FILE] = source
    return BundleDraft(
        name=name,
        network=network,
        inputs=graph.inputs,
        outputs=graph.outputs,
        layers=graph.layers,
        untracked=graph.untracked,
        folding=exported.folding,
        verification=exported.verification,
        model=graph.model,
        unfolded=store_graph(graph.unfolded, beside),
        normalization=graph.normalization,
        tap_maps=graph.tap_maps,
        sample=exported.sample,
        observing=exported.observing,
        parameters=parameters,
        source=source,
        **known,
    )


def _folding_record(graph: FoldedGraph, speedup: float) -> FoldingRecord:
    folded = onnx.load_from_string(graph.model)
    largest = max(
        (float(np.abs(array).max()) for tensor in folded.graph.initializer if (array := _floats(tensor)).size),
        default=0.0,
    )
    return FoldingRecord(
        mode=graph.mode,
        before=_graph_record(onnx.load_from_string(graph.unfolded), len(graph.unfolded)),
        after=_graph_record(folded, len(graph.model)),
        speedup=speedup,
        warnings=tuple(precision_warnings(graph.layers, graph.normalization, largest)),
    )


def _floats(tensor: onnx.TensorProto) -> NDArray[Any]:
    array = onnx.numpy_helper.to_array(tensor)
    return array if array.dtype.kind == "f" else np.zeros(0)


def _graph_record(model: onnx.ModelProto, size: int) -> GraphRecord:
    kinds = [node.op_type for node in model.graph.node]
    return GraphRecord(nodes=len(kinds), normalization_nodes=kinds.count(OPERATOR), bytes=size)
