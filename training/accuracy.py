"""This module measures how well a folded graph answers, by the runtime that will serve it."""

from __future__ import annotations

import numpy as np
import onnx

from folding.folded import FoldedGraph
from folding.references import GraphSession
from training.data import LabelledRows
from training.data.batches import Batches, pass_rows


def served_accuracy(graph: FoldedGraph, rows: LabelledRows) -> float:
    """Share of rows that the folded graph, run by ONNX Runtime, gives the largest logit of their label."""
    session, output = GraphSession(onnx.load_from_string(graph.model), []), graph.outputs[0].name
    right = 0
    for values, labels in Batches(rows, pass_rows(rows)):
        right += int((np.argmax(session.run([values.numpy()])[output], axis=1) == labels.numpy()).sum())
    return right / len(rows)
