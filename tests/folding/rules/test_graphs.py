"""Graphs that torch does not write are folded too, or left alone, and compute what they did under ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from folding import graph
from folding.rules import Folding, fold
from models.manifest import FoldMode

MODES: tuple[FoldMode, ...] = ("fast", "complete")


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def norm(source: str, result: str, name: str = "bn", **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
    parameters = [f"{name}.{field}" for field in ("weight", "bias", "running_mean", "running_var")]
    return helper.make_node("BatchNormalization", [source, *parameters], [result], name=name, **attributes)


def model(nodes: Sequence[onnx.NodeProto], row: tuple[int, ...], **constants: NDArray[Any]) -> onnx.ModelProto:
    """A graph from ``x`` to ``y`` with one normalization layer, ``bn``, of four channels."""
    parameters = {"weight": numbers(4, seed=1), "bias": numbers(4, seed=2), "running_mean": numbers(4, seed=3)}
    known = {f"bn.{field}": array for field, array in parameters.items()}
    known["bn.running_var"] = np.array([0.5, 1.0, 2.0, 3.0], np.float32)
    known |= constants
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *row])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in known.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    return onnx.shape_inference.infer_shapes(made)


def run(proto: onnx.ModelProto, rows: NDArray[np.float32], tensor: str = "y") -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run([tensor], {"x": rows})
    return np.asarray(found)


def folded(proto: onnx.ModelProto, mode: FoldMode) -> tuple[onnx.ModelProto, Folding]:
    made = ir.from_proto(proto)
    graph.prepare(made)
    folding = fold(made, mode=mode)
    graph.clean_up(made, [verdict.tap.tensor for verdict in folding.verdicts])
    return onnx.load_from_string(graph.serialize(made)), folding


def observed(proto: onnx.ModelProto, tensor: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a tensor of a graph is."""
    if tensor == "x":
        return rows
    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    if tensor != "y":
        exposed.graph.output.append(onnx.ValueInfoProto(name=tensor))
    return run(exposed, rows, tensor)


ROWS = numbers(3, 5, seed=9)
IMAGES = numbers(2, 3, 6, 6, seed=9)

GRAPHS: dict[str, tuple[onnx.ModelProto, NDArray[np.float32]]] = {
    "a bias for every row": (
        model(
            [helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="linear"), norm("h", "y")],
            (5,),
            w=numbers(5, 4),
            b=numbers(3, 4, seed=5),
        ),
        ROWS,
    ),
    "a bias of one number": (
        model(
            [helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="linear", beta=0.5), norm("h", "y")],
            (5,),
            w=numbers(5, 4),
            b=numbers(1, seed=5),
        ),
        ROWS,
    ),
    "a sum with a constant of one number": (
        model(
            [
                helper.make_node("MatMul", ["x", "w"], ["h"], name="linear"),
                helper.make_node("Add", ["b", "h"], ["s"], name="sum"),
                norm("s", "y"),
            ],
            (5,),
            w=numbers(5, 4),
            b=np.array(0.5, np.float32),
        ),
        ROWS,
    ),
    "a product without bias": (
        model(
            [
                helper.make_node("MatMul", ["x", "w"], ["h"], name="linear"),
                norm("h", "n"),
                helper.make_node("Tanh", ["n"], ["y"], name="tanh"),
            ],
            (5,),
            w=numbers(5, 4),
        ),
        ROWS,
    ),
    "a sum with something of more axes": (
        model(
            [
                norm("x", "n"),
                helper.make_node("Add", ["n", "c"], ["s"], name="sum"),
                helper.make_node("Transpose", ["s"], ["t"], name="transpose", perm=[1, 2, 0]),
                helper.make_node("MatMul", ["t", "w"], ["y"], name="linear"),
            ],
            (4,),
            c=numbers(1, 1, 4),
            w=numbers(1, 2),
        ),
        numbers(3, 4, seed=9),
    ),
    "places of maxima": (
        model(
            [
                norm("x", "n", "bn"),
                helper.make_node("MaxPool", ["n"], ["maxima", "places"], name="pool", kernel_shape=[2, 2]),
                helper.make_node("Cast", ["places"], ["y"], name="cast", to=TensorProto.FLOAT),
            ],
            (4, 6, 6),
        ),
        numbers(2, 4, 6, 6, seed=9),
    ),
    "a transposed convolution of a given size": (
        model(
            [
                helper.make_node("Tanh", ["x"], ["h"], name="tanh"),
                norm("h", "n"),
                helper.make_node(
                    "ConvTranspose", ["n", "w"], ["y"], name="conv", output_shape=[12, 12], strides=[2, 2]
                ),
            ],
            (4, 6, 6),
            w=numbers(4, 2, 3, 3),
            **{"bn.weight": np.array([0, 1, -1, 2], np.float32)},
        ),
        numbers(2, 4, 6, 6, seed=9),
    ),
    "names of modules that are none": (
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["h"], name="conv"),
                norm("h", "y"),
            ],
            (3, 6, 6),
            w=numbers(4, 3, 3, 3),
        ),
        IMAGES,
    ),
    "interpolated channels": (
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["h"], name="conv"),
                helper.make_node("Resize", ["h", "", "scales"], ["r"], name="resize", mode="linear"),
                norm("r", "y"),
            ],
            (3, 6, 6),
            w=numbers(2, 3, 3, 3),
            scales=np.array([1, 2, 1, 1], np.float32),
        ),
        IMAGES,
    ),
    "a shape that is read": (
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["h"], name="conv"),
                norm("h", "n"),
                helper.make_node("Shape", ["n"], ["size"], name="size"),
                helper.make_node("ConstantOfShape", ["size"], ["zeros"], name="zeros"),
                helper.make_node("Add", ["n", "zeros"], ["y"], name="add"),
            ],
            (3, 6, 6),
            w=numbers(4, 3, 3, 3),
        ),
        IMAGES,
    ),
    "padding that is not written down": (
        model(
            [
                helper.make_node("Tanh", ["x"], ["h"], name="tanh"),
                norm("h", "n"),
                helper.make_node("Conv", ["n", "w"], ["y"], name="conv", auto_pad="SAME_UPPER"),
            ],
            (4, 6, 6),
            w=numbers(2, 4, 3, 3),
        ),
        numbers(2, 4, 6, 6, seed=9),
    ),
    "a bound that is computed": (
        model(
            [
                norm("x", "n"),
                helper.make_node("ReduceMean", ["x"], ["mean"], name="mean", keepdims=0),
                helper.make_node("Clip", ["n", "mean"], ["c"], name="clip"),
                helper.make_node("Conv", ["c", "w"], ["y"], name="conv"),
            ],
            (4, 6, 6),
            w=numbers(2, 4, 1, 1),
        ),
        numbers(2, 4, 6, 6, seed=9),
    ),
    "weights of another": (
        model(
            [
                norm("x", "n"),
                helper.make_node("ReduceMean", ["n", "axes"], ["k"], name="mean"),
                helper.make_node("MatMul", ["w", "k"], ["y"], name="product"),
            ],
            (4, 6, 6),
            w=numbers(2, 6),
            axes=np.array([3]),
        ),
        numbers(2, 4, 6, 6, seed=9),
    ),
}


for _node in GRAPHS["names of modules that are none"][0].graph.node:
    _node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="5 and no list")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_computes_what_it_did(name: str, mode: FoldMode) -> None:
    proto, rows = GRAPHS[name]

    after, folding = folded(proto, mode)

    expected = run(proto, rows)
    np.testing.assert_allclose(run(after, rows), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
    assert [verdict.layer.name for verdict in folding.verdicts] == ["bn"]
    left = sum(node.op_type == "BatchNormalization" for node in after.graph.node)
    assert left == sum(verdict.placement == "kept" for verdict in folding.verdicts)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", GRAPHS)
def test_the_tap_of_such_a_graph_is_what_its_layer_takes_or_gives(name: str, mode: FoldMode) -> None:
    proto, rows = GRAPHS[name]
    (layer,) = (node for node in proto.graph.node if node.op_type == "BatchNormalization")

    after, folding = folded(proto, mode)

    (verdict,) = folding.verdicts
    shown = np.moveaxis(observed(after, verdict.tap.tensor, rows), verdict.tap.channel_axis, 0).reshape(4, -1)
    torch_side = layer.input[0] if verdict.tap.side == "input" else layer.output[0]
    expected = np.moveaxis(observed(proto, torch_side, rows), 1, 0).reshape(4, -1)
    assert verdict.tap_map is None
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_a_layer_of_an_input_of_unknown_rank_is_untracked() -> None:
    squeezed = [
        helper.make_node("Squeeze", ["x"], ["h"], name="squeeze"),
        norm("h", "n"),
        helper.make_node("Reshape", ["n", "shape"], ["y"], name="reshape"),
    ]
    proto = model(squeezed, (4,), shape=np.array([-1, 4]))
    rows = numbers(3, 4, seed=9)

    after, folding = folded(proto, "complete")

    (untracked,) = folding.untracked
    assert "How many axes its input has is not known." in untracked.reason
    np.testing.assert_allclose(run(after, rows), run(proto, rows), rtol=0, atol=1e-6)


def test_a_layer_inside_a_branch_stays_and_is_said_to_be_untracked() -> None:
    inside = helper.make_graph(
        [norm("x", "inside")], "inside", [], [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)]
    )
    outside = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["outside"])],
        "outside",
        [],
        [helper.make_tensor_value_info("outside", TensorProto.FLOAT, None)],
    )
    positive = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], name="if", then_branch=inside, else_branch=outside),
    ]
    proto = model(positive, (4,), zero=np.array(0, np.float32))
    rows = np.abs(numbers(3, 4, seed=9))

    after, folding = folded(proto, "complete")

    (untracked,) = folding.untracked
    assert folding.verdicts == ()
    assert untracked.reason == "It is inside a branch or a loop of the graph."
    np.testing.assert_array_equal(run(after, rows), run(proto, rows))
