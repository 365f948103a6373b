"""This module runs a folded graph as the service does, by ONNX Runtime, and reads what its last layer takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.drift.data import Images, Pixels
from folding.references import GraphSession

BATCH_ROWS = 500


class Classifier:
    """A folded graph of one input and one output, the logits.

    Args:
        model: The content of ``model.onnx``.

    Raises:
        ValueError: If its logits do not come out of a linear layer.
    """

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_from_string(model)
        self._logits = graph.graph.output[0].name
        self._hidden = last_hidden_tensor(graph.graph)
        self._session = GraphSession(graph, [self._hidden])

    def accuracy(self, images: Images) -> float:
        """Share of the images whose largest logit is that of their class."""
        return float((self._run(images.pixels, self._logits).argmax(axis=1) == images.labels).mean())

    def hidden(self, pixels: Pixels) -> NDArray[np.float32]:
        """What the last linear layer takes, shape ``(rows, features)``."""
        return self._run(pixels, self._hidden)

    def _run(self, pixels: Pixels, tensor: str) -> NDArray[Any]:
        starts = range(0, len(pixels), BATCH_ROWS)
        return np.concatenate([self._session.run([pixels[start : start + BATCH_ROWS]])[tensor] for start in starts])


def last_hidden_tensor(graph: onnx.GraphProto) -> str:
    """The tensor that the linear layer takes whose output, or its sum with a bias, is the graph's first output.

    Raises:
        ValueError: If there is no such layer.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    node = made_by[graph.output[0].name]
    if node.op_type == "Add":
        node = next(made_by[name] for name in node.input if name in made_by)
    if node.op_type not in ("Gemm", "MatMul"):
        raise ValueError(f"{graph.output[0].name}: expected the output of a linear layer, got that of {node.op_type}")
    return str(node.input[0])
