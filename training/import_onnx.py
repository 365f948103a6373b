"""This module takes in an ONNX file made elsewhere: folds it, proves it against the file, and publishes a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from folding import graph
from folding.errors import BatchAxisError, GraphError, VerificationError, one_line
from folding.folded import FoldedGraph, LayerSource, fold_graph, tidy_unfolded
from folding.proof import draft, prove
from folding.rows import read_rows, rows_in_order
from folding.rules.sites import OPERATOR
from models.bundle import Bundle
from models.datatypes import DATATYPES
from models.draft import BundleDraft
from models.manifest import FoldMode, NetworkRecord, TensorRecord
from models.store import Store
from training.errors import ImportingError, TrainingError
from training.onnx_file import FOLDED_OPSET, FileReference, OnnxFile, read_file

EXAMPLE_ROWS = 16

EXAMPLE_SIZE = 64
"""Of axes that vary: a power of two, and large enough for images that are halved five times."""


def import_onnx(
    file: Path,
    *,
    store: Store | Path | str,
    name: str,
    fold: FoldMode = "fast",
    rows: Path | None = None,
    allow_untrained: bool = False,
) -> Bundle:
    """Fold the normalization layers of an ONNX file, prove that it still computes the same, and publish it.

    Args:
        file: With a batch of any size, or of one that can be freed. External data is taken from its folder.
        store: Where to publish.
        name: What to publish it as.
        fold: ``fast`` folds what gets faster under ONNX Runtime, ``complete`` everything that has an exact form.
        rows: An ``.npz`` file of real rows, one array an input. Without, it is proved on random rows alone: Gaussian,
            or 0 and 1 where an input holds whole numbers; 64 along each axis that varies.
        allow_untrained: Whether normalization layers are taken whose statistics no data has updated.

    Returns:
        What was published. The momentum of its layers is null: what a file says of it nothing has used.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
    """
    destination = store if isinstance(store, Store) else Store(Path(store))
    destination.versions(name)  # refuses a name that no model can have, before the work
    return destination.publish(draft_import(file, name=name, fold=fold, rows=rows, allow_untrained=allow_untrained))


def draft_import(
    file: Path, *, name: str, fold: FoldMode = "fast", rows: Path | None = None, allow_untrained: bool = False
) -> BundleDraft:
    """What ``import_onnx`` publishes.

    Raises:
        TrainingError, GraphError: If any of it can't be done.
    """
    source = read_file(file)
    real = None if rows is None else read_rows(rows)
    try:
        taken = OnnxFile(source)
        folded = _fold(taken, mode=fold, allow_untrained=allow_untrained)
        example = _example(folded.inputs) if real is None else rows_in_order(real, folded.inputs)
        exported = prove(folded, FileReference(taken, folded.unfolded), example, real=real is not None)
    except VerificationError as error:
        raise ImportingError(f"{file}: {error}{_hint(taken, folded, real)}") from error
    except BatchAxisError as error:
        told = f" ({batch})" if (batch := _batch_hint(taken)) else ""
        raise ImportingError(f"{file}: {error}{told}") from error
    except (TrainingError, GraphError) as error:
        raise ImportingError(f"{file}: {error}") from error
    described = NetworkRecord(
        name=file.name,
        arguments={"producer": taken.producer, "opset": taken.opset},
        parameters=taken.num_parameters,
    )
    return draft(exported, name=name, network=described, source=source)


def unfolded_graph(source: bytes) -> bytes:
    """The graph of an imported file before folding, its normalization nodes named after their layers.

    Raises:
        ImportingError: If it is no file that could have been imported.
    """
    model = OnnxFile(source).model
    graph.prepare(model)
    tidy_unfolded(model)
    return graph.serialize(model)


def _fold(file: OnnxFile, *, mode: FoldMode, allow_untrained: bool) -> FoldedGraph:
    try:
        return fold_graph(
            file.model, mode=mode, sources=lambda _: LayerSource(OPERATOR, None, None), allow_untrained=allow_untrained
        )
    except (TrainingError, GraphError):
        raise
    except Exception as error:  # of the checker, of shape inference, of a pass: they share no base
        raise ImportingError(f"expected a graph that can be tidied and folded: {one_line(error)}") from error


def _hint(file: OnnxFile, graph: FoldedGraph, rows: Mapping[str, NDArray[Any]] | None) -> str:
    """What may be behind a disagreement that is not the folding's."""
    told = []
    if file.opset < FOLDED_OPSET:
        told.append(f"it was converted from opset {file.opset}")
    if batch := _batch_hint(file):
        told.append(batch)
    if rows is None and any(-1 in record.shape[1:] for record in graph.inputs):
        told.append(f"axes that vary were tried with {EXAMPLE_SIZE}, real rows may do better")
    return f" ({'; '.join(told)})" if told else ""


def _batch_hint(file: OnnxFile) -> str:
    """How to export a file anew whose batch has one size; empty where it has any."""
    if file.batch_size is None:
        return ""
    axes = ", ".join(f"{value.name!r}: {{0: 'batch'}}" for value in file.model.graph.inputs)
    return (
        f"it was made for batches of {file.batch_size}, and is served with any number of rows: export it with a batch "
        f"of any size, in torch by torch.onnx.export(..., dynamic_shapes={{{axes}}})"
    )


def _example(inputs: Sequence[TensorRecord]) -> list[NDArray[Any]]:
    generator = np.random.default_rng(0)
    arrays = []
    for record in inputs:
        shape = [EXAMPLE_ROWS, *(EXAMPLE_SIZE if size == -1 else size for size in record.shape[1:])]
        kind = np.dtype(DATATYPES[record.datatype])
        array = generator.standard_normal(shape) if kind.kind == "f" else generator.integers(2, size=shape)
        arrays.append(array.astype(kind))
    return arrays
