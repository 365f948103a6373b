"""This module measures how far float32 alone takes a network off, so that an ill conditioned one is told from a fold.

The truth is torch in float64. If torch's own float32, or the unfolded graph, is about as far from it as the folded
graph is, the network is to blame.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from folding.folded import FoldedGraph
from folding.references import Arrays, GraphReference, GraphSession
from folding.verify import num_random_rows, random_like
from training.references import TorchReference
from training.tracing import Signature


class Rounding(BaseModel):
    """Largest errors against float64, relative to each tensor's largest value.

    Attributes:
        torch_output: Of torch in float32, over the outputs.
        torch_layer: Of torch in float32, over what normalization layers take or give.
        unfolded_output: Of the unfolded graph, over the outputs.
        unfolded_layer: Of the unfolded graph, over what normalization layers take or give.
        graph_output: Of the folded graph, over the outputs.
    """

    model_config = ConfigDict(frozen=True)

    torch_output: float
    torch_layer: float
    unfolded_output: float
    unfolded_layer: float
    graph_output: float

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {error:.1e}" for name, error in self.model_dump().items())
        return f"(off float64: {figures})"


def measure_rounding(network: nn.Module, signature: Signature, graph: FoldedGraph, example: Tensor) -> Rounding:
    """Run a network in float32 and in float64, its unfolded graph and its folded one, on the rows of verification."""
    like = example.numpy()
    rows = random_like(like, num_random_rows([like]), np.random.default_rng(0))
    exact = TorchReference(copy.deepcopy(network).double(), signature).run([rows.astype(np.float64)], graph.layers)
    by_torch = TorchReference(network, signature).run([rows], graph.layers)
    unfolded = GraphReference(graph.unfolded).run([rows], graph.layers)
    found = GraphSession(onnx.load_from_string(graph.model), []).run([rows])
    return Rounding(
        torch_output=_worst(by_torch[0], exact[0]),
        torch_layer=_worst_layer(by_torch[1], exact[1]),
        unfolded_output=_worst(unfolded[0], exact[0]),
        unfolded_layer=_worst_layer(unfolded[1], exact[1]),
        graph_output=_worst([found[record.name] for record in graph.outputs], exact[0]),
    )


def _worst_layer(found: Arrays, true: Arrays) -> float:
    return _worst(list(found.values()), [true[name] for name in found])


def _worst(found: Sequence[NDArray[Any]], true: Sequence[NDArray[Any]]) -> float:
    errors = (float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, true, strict=True))
    return max(errors, default=0.0)
