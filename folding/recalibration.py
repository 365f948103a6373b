"""This module re-estimates a bundle's statistics from rows, and drafts the next version of it.

Every layer's statistics are measured on the unfolded graph, where they are still to be seen (``batch_statistics.py``),
mixed with those that the bundle has if these are to count (``estimation.py``), and written into that graph
(``new_statistics.py``), which is folded anew and proved like any other. Everything else stays: the weights, the names,
the labels.

Source: Ioffe & Szegedy (2015), section 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from folding import comparison
from folding.batch_statistics import even_batches
from folding.errors import GraphError, RecalibrationError
from folding.estimation import estimate_layers
from folding.folded import FoldedGraph
from folding.new_statistics import (
    RenewedGraph,
    renew_graph,
    renew_parameters,
    renew_source,
)
from folding.proof import Export, complete, draft
from folding.references import GraphReference, GraphSession
from folding.refolding import refold
from folding.rows import rows_in_order
from folding.stored_graph import read_graph
from folding.verify import verify
from models.bundle import PARAMETERS_FILE, SOURCE_FILE, Arrays, Bundle
from models.draft import BundleDraft
from models.layers import Distance
from models.recalibration import Proof, RecalibrationRecord

FEWEST_ROWS = 32
"""Without a prior: of 32 independent values a mean is off by 0.18 standard deviations, and a variance by a quarter."""

BATCH_ROWS = 128

VERIFIED_ROWS = 256
"""So many of the rows are verified with, at most: each tensor of every layer is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrated:
    """The next version of a bundle, not yet published.

    Attributes:
        draft: To be published by ``Store.publish_candidate``, so that it does not answer at once.
        record: What its manifest says of where it comes from, and of what changed.
        distances: By layer, how far the new statistics are from the old ones, channel by channel.
    """

    draft: BundleDraft
    record: RecalibrationRecord
    distances: Mapping[str, Distance]


def recalibrate(  # noqa: PLR0913  the one call for both sides: all but two are by name and have defaults
    bundle: Bundle,
    rows: Mapping[str, NDArray[Any]],
    *,
    prior_rows: int = 0,
    batch_rows: int = BATCH_ROWS,
    labels: NDArray[Any] | None = None,
    min_rows: int | None = None,
    force: bool = False,
    data: str = "rows that were given",
) -> Recalibrated:
    """Re-estimate the statistics of every normalization layer of a bundle.

    Args:
        bundle: Its files are intact; it stays as it is.
        rows: One array an input, as the bundle's inputs say.
        prior_rows: So many rows the statistics that the bundle has count as; 0 leaves nothing of them.
        batch_rows: At most so many rows are normalized together.
        labels: The class of every row, to tell accuracies with; shape ``(rows,)``.
        min_rows: So many rows there have to be; 32 by default, or 1 where there is a prior.
        force: Whether predictions may collapse to few classes.
        data: What the rows are, for the manifest.

    Raises:
        RecalibrationError: If it can't be done, or should not be; the text says why.
        BundleError: If a file of the bundle is damaged.
    """
    manifest, old = bundle.manifest, bundle.normalization()
    if not old:
        raise RecalibrationError("layers: expected a bundle with normalization layers, got one without")
    with _refusals():
        taken = _checked(bundle, rows, prior_rows=prior_rows, batch_rows=batch_rows, min_rows=min_rows)
        if labels is not None:
            comparison.check_labels(labels, manifest.outputs, len(taken[0]))
        unfolded = read_graph(bundle.unfolded_path)
        new = estimate_layers(unfolded, old, taken, prior_rows=prior_rows, batch_rows=batch_rows)
        renewed = renew_graph(unfolded, new)
        graph = refold(bundle, renewed.model, mode=manifest.folding.mode)
        exported = _prove(bundle, graph, taken)
        changes = comparison.compare_outputs(
            manifest.outputs,
            _answers(bundle.model_path.read_bytes(), taken, batch_rows),
            _answers(graph.model, taken, batch_rows),
            class_names=manifest.labels,
            labels=labels,
        )
        if not force:
            comparison.refuse_collapse(changes)
    renewed_layers = {layer.name: layer for layer in graph.normalization}
    distances = {layer.name: comparison.distance(layer, renewed_layers[layer.name]) for layer in old}
    proof, origin = _origin(bundle, renewed)
    record = RecalibrationRecord(
        source_version=manifest.version,
        rows=len(taken[0]),
        prior_rows=prior_rows,
        batch_rows=batch_rows,
        data=data,
        proof=proof,
        outputs=changes,
        layers=tuple(comparison.describe_layer(name, change) for name, change in distances.items()),
    )
    made = draft(
        exported,
        name=manifest.name,
        network=manifest.network,
        labels=manifest.labels,
        training=manifest.training,
        recalibration=record,
        **origin,
    )
    return Recalibrated(draft=made, record=record, distances=distances)


@contextmanager
def _refusals() -> Iterator[None]:
    """Whatever rows, a graph or a proof of it is refused for is why it can't be recalibrated."""
    try:
        yield
    except RecalibrationError:
        raise
    except GraphError as error:
        raise RecalibrationError(str(error)) from error


def _checked(
    bundle: Bundle,
    rows: Mapping[str, NDArray[Any]],
    *,
    prior_rows: int,
    batch_rows: int,
    min_rows: int | None,
) -> list[NDArray[Any]]:
    if prior_rows < 0 or batch_rows < 1:
        raise RecalibrationError(
            f"prior_rows, batch_rows: expected at least 0 and at least 1, got {prior_rows} and {batch_rows}"
        )
    taken = rows_in_order(rows, bundle.manifest.inputs)
    needed = max(1, min_rows if min_rows is not None else 1 if prior_rows else FEWEST_ROWS)
    if len(taken[0]) < needed:
        raise RecalibrationError(
            f"rows: expected at least {needed}, got {len(taken[0])}"
            + ("" if prior_rows else "; fewer do where the old statistics count as a prior (prior_rows)")
        )
    return taken


def _prove(bundle: Bundle, graph: FoldedGraph, rows: Sequence[NDArray[Any]]) -> Export:
    """Verify the graph against its unfolded form, have that answer the sample's rows, and calibrate by all rows."""
    reference, seed = GraphReference(graph.unfolded), bundle.manifest.version
    verification = verify(reference, graph, [array[:VERIFIED_ROWS] for array in rows], real=True, seed=seed)
    inputs = bundle.sample().inputs
    sample = [inputs[record.name] for record in graph.inputs]
    # the same nodes on other numbers take the same time
    speedup = bundle.manifest.folding.speedup
    return complete(graph, reference, verification, sample, held_out=rows, seed=seed, speedup=speedup)


def _answers(model: bytes, rows: Sequence[NDArray[Any]], batch_rows: int) -> Arrays:
    session = GraphSession(onnx.load_from_string(model), [])
    found = [session.run(batch) for batch in even_batches(rows, batch_rows)]
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


def _origin(bundle: Bundle, renewed: RenewedGraph) -> tuple[Proof, dict[str, Any]]:
    """What the new version is proved by, and the field of the draft that holds it."""
    files = bundle.manifest.files
    if renewed.changes is not None and PARAMETERS_FILE in files:
        parameters = renew_parameters(bundle.parameters(), renewed.changes)
        if parameters is not None:
            return "parameters.npz", {"parameters": parameters}
    if renewed.changes is not None and SOURCE_FILE in files:
        source = renew_source(bundle.source(), renewed.changes)
        if source is not None:
            return "source.onnx", {"source": source}
    return "unfolded.onnx", {}
