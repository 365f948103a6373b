"""This module collects the nodes and constants that are to be added to a graph, under names that it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

AXES_ARE_INPUTS = 18
"""From this version of ONNX's operators on, the axes of a reduction are an input; before, an attribute."""


class Nodes:
    """Nodes in order, and their constants.

    Args:
        prefix: Of every name; the graph has none that begins so.
        opset: Version of ONNX's operators that the graph uses.
    """

    def __init__(self, prefix: str, *, opset: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._opset = opset
        self._known: dict[tuple[int, ...], str] = {}

    @classmethod
    def of(cls, model: onnx.ModelProto, prefix: str) -> Nodes:
        """Nodes to be added to a graph that has no name with this prefix."""
        return cls(prefix, opset=next(entry.version for entry in model.opset_import if not entry.domain))

    def apply(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of one output, and say what that is called."""
        output = name or f"{self._prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/node", **attributes))
        return output

    def reduce(self, operator: str, tensor: str, axes: list[int], *, name: str = "") -> str:
        """Add a reduction along axes, which stay with size 1."""
        if self._opset < AXES_ARE_INPUTS:
            return self.apply(operator, tensor, name=name, axes=axes, keepdims=1)
        return self.apply(operator, tensor, self.integers(*axes), name=name, keepdims=1)

    def constant(self, array: NDArray[Any]) -> str:
        """Add a constant."""
        name = f"{self._prefix}constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        """A constant of whole numbers, of which there is one for all that want it; int64 of shape ``(numbers,)``."""
        if values not in self._known:
            self._known[values] = self.constant(np.array(values, dtype=np.int64))
        return self._known[values]
