"""This module measures how well a folded graph answers, by the runtime that will serve it."""

from __future__ import annotations

import numpy as np
import onnx

from folding.batch_statistics import even_batches
from folding.folded import FoldedGraph
from folding.references import GraphSession
from training.data import Rows

BATCH_ROWS = 512


def served_accuracy(graph: FoldedGraph, rows: Rows) -> float:
    """Share of rows that the folded graph, run by ONNX Runtime, gives the largest logit of their label."""
    session, output = GraphSession(onnx.load_from_string(graph.model), []), graph.outputs[0].name
    predicted = [
        np.argmax(session.run(batch)[output], axis=1) for batch in even_batches([rows.values.numpy()], BATCH_ROWS)
    ]
    return float((np.concatenate(predicted) == rows.labels.numpy()).mean())
