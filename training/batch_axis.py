"""This module frees a graph of the one size of batch that it was written for.

Inputs and outputs say it, and so do the constant shapes of reshapes, put together from parts or not. Whether a graph
then does with more rows what it did with its own number, only a comparison can tell.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import optimizer

from training.errors import ImportingError

BATCH = "batch"


def batch_size(model: ir.Model) -> int | None:
    """How many rows a graph takes at once; None if any number.

    Raises:
        ImportingError: If it has no inputs, or one of them holds no rows.
    """
    sizes: dict[str, int] = {}
    for value in model.graph.inputs:
        if not isinstance(value.type, ir.TensorType):
            raise ImportingError(f"{value.name}: expected a tensor, got a sequence or an optional one")
        if value.shape is None or not len(value.shape):
            raise ImportingError(f"{value.name}: expected a tensor with a known number of axes, the first for the rows")
        if isinstance(size := value.shape[0], int):
            sizes[str(value.name)] = size
    if not model.graph.inputs:
        raise ImportingError("expected at least one input, got none")
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise ImportingError(f"expected the same number of rows in every input, at least one, got {sizes}")
    return next(iter(sizes.values()), None)


def free_batch(model: ir.Model, size: int) -> None:
    """Let the batch have any size, in place; what shapes follow from it is for shape inference to find out."""
    for value in model.graph.inputs:
        _free_first_axis(value, size)
    _forget_shapes(model)
    optimizer.fold_constants(model)  # a shape may be put together from parts
    _forget_shapes(model)
    for value in model.graph.outputs:
        _free_first_axis(value, size)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Reshape" and not node.domain:
            _free_reshape(node, size)


def _free_first_axis(value: ir.Value, size: int) -> None:
    if value.shape is not None and len(value.shape) and value.shape[0] == size:
        value.shape = ir.Shape([BATCH, *value.shape[1:]])


def _forget_shapes(model: ir.Model) -> None:
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for output in node.outputs:
            if not output.is_graph_output():
                output.shape = None


def _free_reshape(node: ir.Node, size: int) -> None:
    """``[size, -1]`` becomes ``[0, -1]``, in which 0 stands for the size that there is."""
    shape = node.inputs[1]
    constant = None if shape is None else ir.convenience.get_const_tensor(shape)
    if constant is None or bool(node.attributes.get_int("allowzero", 0)):
        return
    sizes = constant.numpy().copy()
    if sizes.size and sizes[0] == size:
        sizes[0] = 0
        constant_node = ir.Node("", "Constant", [], [ir.AttrTensor("value", ir.tensor(sizes))])
        assert node.graph is not None
        node.graph.insert_before(node, constant_node)
        node.replace_input_with(1, constant_node.outputs[0])
