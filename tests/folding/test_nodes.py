"""This module tests that nodes added to a graph compute what they say, in every version of ONNX's operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from folding.nodes import AXES_ARE_INPUTS, Nodes
from folding.references import GraphSession

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def run(nodes: Nodes, output: str, *, opset: int) -> np.ndarray:
    """What a graph of these nodes gives for ``VALUES`` as its input ``x``."""
    graph = helper.make_graph(
        nodes.nodes,
        "nodes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, VALUES.shape)],
        [onnx.ValueInfoProto(name=output)],
        nodes.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    found: np.ndarray = GraphSession(model, []).run([VALUES])[output]
    return found


@pytest.mark.parametrize("opset", [13, AXES_ARE_INPUTS - 1, AXES_ARE_INPUTS, 20])
def test_a_reduction_takes_its_axes_as_its_version_wants_them(opset: int) -> None:
    """As an attribute or as an input; the axes stay with size 1."""
    nodes = Nodes("probe/", opset=opset)

    mean = nodes.reduce("ReduceMean", "x", [0, 2])

    np.testing.assert_array_equal(run(nodes, mean, opset=opset), VALUES.mean(axis=(0, 2), keepdims=True))
    assert [len(node.input) for node in nodes.nodes] == [1 if opset < AXES_ARE_INPUTS else 2]


def test_nodes_stand_in_the_order_in_which_they_were_added() -> None:
    """Each may take what those before it give."""
    nodes = Nodes("probe/", opset=20)

    total = nodes.apply("Add", "x", nodes.constant(np.array(1, np.float32)))
    nodes.apply("Mul", total, total, name="squares")

    assert [node.op_type for node in nodes.nodes] == ["Add", "Mul"]
    np.testing.assert_array_equal(run(nodes, "squares", opset=20), (VALUES + 1) ** 2)


def test_every_name_begins_with_the_prefix_and_is_another() -> None:
    """So that none of them is in the graph yet."""
    nodes = Nodes("probe/", opset=20)

    for _ in range(3):
        nodes.reduce("ReduceSum", nodes.apply("Add", "x", nodes.constant(np.ones(4, np.float32))), [1])

    names = [*(node.output[0] for node in nodes.nodes), *(tensor.name for tensor in nodes.constants)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("probe/") for name in names)
    assert len({node.name for node in nodes.nodes}) == len(nodes.nodes)


def test_whole_numbers_are_kept_once() -> None:
    """All that want the same numbers get the same constant, others another."""
    nodes = Nodes("probe/", opset=20)

    first, again, other = nodes.integers(-1, 3), nodes.integers(-1, 3), nodes.integers(3)

    assert first == again != other
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in nodes.constants]
    assert [(array.dtype.name, array.tolist()) for array in arrays] == [("int64", [-1, 3]), ("int64", [3])]


def test_attributes_are_passed_on() -> None:
    """As of a cast, which says what to."""
    nodes = Nodes("probe/", opset=20)

    cast = nodes.apply("Cast", "x", to=TensorProto.DOUBLE)

    assert run(nodes, cast, opset=20).dtype == np.float64
