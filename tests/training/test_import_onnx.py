"""Imported files: what comes of them, what they are compared with, and what is refused."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from folding.errors import RowsError
from models.bundle import SOURCE_FILE, Bundle
from models.manifest import MANIFEST_FILE
from models.store import Store
from tests.service.running import over_socket
from tests.training.examples import Forward, answers, build
from tests.training.onnx_files import (
    CHANNELS,
    Arrays,
    by_torch,
    channels_last,
    images,
    make,
    normalize,
    random,
    run_file,
    save,
    save_with_external_data,
    statistics,
)
from training.__main__ import main
from training.errors import ImportingError
from training.import_onnx import import_onnx
from training.onnx_file import read_file

TOLERANCE = 1e-5
"""Of values around 1, summed over at most 64 of them in float32, which rounds each off by 6e-8."""


def publish(file: onnx.ModelProto, folder: Path, **options: Any) -> Bundle:  # noqa: ANN401  of import_onnx
    """Import a file that is written first."""
    return import_onnx(save(file, folder / "given.onnx"), store=folder / "store", name="imported", **options)


def refusal(file: onnx.ModelProto, folder: Path, **options: Any) -> str:  # noqa: ANN401  of import_onnx
    """Why a file is not imported; one sentence, and nothing is published."""
    with pytest.raises(ImportingError) as refused:
        publish(file, folder, **options)
    assert not list(folder.glob(f"store/**/{MANIFEST_FILE}"))
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{folder / 'given.onnx'}: ")


def assert_answers(bundle: Bundle, file: onnx.ModelProto, rows: np.ndarray) -> None:
    """Assert that a bundle's graph gives what the file gives that it was made from."""
    found = run_file(onnx.load(bundle.model_path), rows)
    assert np.abs(found - run_file(file, rows)).max() < TOLERANCE * np.abs(found).max()


def integers(*numbers: int) -> np.ndarray:
    """A constant shape, or axes."""
    return np.array(numbers, np.int64)


def block() -> nn.Module:
    """What torchvision's networks are made of, with the view that older ones end in."""

    def forward(self: Any, rows: Tensor) -> Tensor:  # noqa: ANN401
        pooled = self.pool(torch.relu(self.bn1(self.conv1(rows))))
        return self.fc(pooled.view(pooled.size(0), -1))  # type: ignore[no-any-return]

    return build(
        lambda: Forward(
            forward,
            conv1=nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(CHANNELS),
            pool=nn.AvgPool2d(8),
            fc=nn.Linear(CHANNELS, 5),
        )
    )


# files that others make


@pytest.mark.parametrize("constants_are_inputs", [False, True])
@pytest.mark.parametrize("opset", [9, 13, 17])
def test_a_file_of_torchs_old_exporter_is_folded_under_the_names_of_the_modules(
    opset: int, constants_are_inputs: bool, tmp_path: Path
) -> None:
    network, rows = block(), random(6, 3, 8, 8)
    file = by_torch(network, 2, 3, 8, 8, opset=opset, constants_are_inputs=constants_are_inputs, any_batch=True)

    bundle = publish(file, tmp_path)

    (layer,) = bundle.manifest.layers
    found = run_file(onnx.load(bundle.model_path), rows)
    assert (layer.name, layer.kind, layer.placement, layer.into) == (
        "bn1",
        "BatchNormalization",
        "folded-backward",
        "/conv1/Conv",
    )
    assert np.abs(found - answers(network, torch.from_numpy(rows))).max() < TOLERANCE * np.abs(found).max()


def test_a_file_of_tf2onnx_is_folded_with_its_channels_last(tmp_path: Path) -> None:
    file = channels_last()

    bundle = publish(file, tmp_path)

    (layer,) = bundle.manifest.layers
    assert (layer.name, layer.into) == ("model/bn/FusedBatchNormV3", "model/conv/Conv2D")
    assert layer.eps == 1e-3
    assert [(i.name, i.shape) for i in bundle.manifest.inputs] == [("image:0", (-1, 8, 8, 3))]
    assert_answers(bundle, file, random(3, 8, 8, 3))


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
def test_a_file_of_an_old_opset_is_converted(opset: int, tmp_path: Path) -> None:
    file = images(opset=opset, ir_version=3, constants_are_inputs=True)

    bundle = publish(file, tmp_path)

    assert bundle.manifest.network.arguments["opset"] == opset
    assert [layer.placement for layer in bundle.manifest.layers] == ["folded-backward"]
    assert [i.name for i in bundle.manifest.inputs] == ["image"]
    assert_answers(bundle, file, random(3, 3, 8, 8))


def test_bounds_that_an_old_opset_keeps_in_attributes_are_kept_when_a_layer_goes_through_them(tmp_path: Path) -> None:
    nodes = [
        normalize("x", "n", list(statistics("bn"))),
        helper.make_node("Clip", ["n"], ["clipped"], min=0.0, max=1.0),
        helper.make_node("MatMul", ["clipped", "w"], ["y"]),
    ]
    constants = statistics("bn") | {"w": random(CHANNELS, 3)}
    file = make(nodes, {"x": ("n", CHANNELS)}, {"y": ("n", 3)}, constants, opset=9, ir_version=4)

    bundle = publish(file, tmp_path, fold="complete")

    assert "BatchNormalization" not in [node.op_type for node in onnx.load(bundle.model_path).graph.node]
    assert_answers(bundle, file, 3 * random(50, CHANNELS))


@pytest.mark.parametrize(("operator", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_images_are_resized_as_the_old_opset_did(operator: str, opset: int, mode: str, tmp_path: Path) -> None:
    nodes = [helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)]
    scales = {"scales": np.array([1, 1, 1.5, 1.5], np.float32)}
    file = make(nodes, {"x": ("n", 1, 6, 6)}, {"y": ("n", 1, 9, 9)}, scales, opset=opset, ir_version=4)

    bundle = publish(file, tmp_path)

    assert_answers(bundle, file, random(3, 1, 6, 6))


def test_a_layer_from_before_opset_7_in_test_mode_is_taken(tmp_path: Path) -> None:
    nodes = [normalize("x", "y", list(statistics("bn")), is_test=1)]
    file = make(nodes, {"x": (2, CHANNELS, 5, 5)}, {"y": (2, CHANNELS, 5, 5)}, statistics("bn"), opset=6, ir_version=4)

    bundle = publish(file, tmp_path)

    assert [layer.name for layer in bundle.manifest.layers] == ["bn"]


def test_functions_are_written_out(tmp_path: Path) -> None:
    file = images(opset=17, domains=["local"])
    parameters = ["w", "b", "m", "v"]
    inside = [helper.make_node("BatchNormalization", ["x", *parameters], ["y"])]
    imports = [helper.make_opsetid("", 17)]
    file.functions.append(helper.make_function("local", "Block", ["x", *parameters], ["y"], inside, imports))
    file.graph.node[1].domain, file.graph.node[1].op_type = "local", "Block"

    bundle = publish(file, tmp_path)

    assert [layer.placement for layer in bundle.manifest.layers] == ["folded-backward"]
    assert_answers(bundle, file, random(3, 3, 8, 8))


def test_nodes_without_names_go_by_their_outputs(tmp_path: Path) -> None:
    file = images()
    for tensor in file.graph.initializer:
        tensor.name = tensor.name.replace(".", "_")
    for node in file.graph.node:
        node.name = ""
        node.input[:] = [name.replace(".", "_") for name in node.input]

    bundle = publish(file, tmp_path)

    assert [(layer.name, layer.into) for layer in bundle.manifest.layers] == [("normalized", "convolved")]


def test_a_file_in_half_precision_is_taken(tmp_path: Path) -> None:
    file = images()
    for tensor in file.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*file.graph.input, *file.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16

    bundle = publish(file, tmp_path)

    assert bundle.manifest.inputs[0].datatype == "FP16"
    assert bundle.sample().inputs["image"].dtype == np.float16


def test_statistics_that_are_computed_are_told_as_untracked(tmp_path: Path) -> None:
    file = images(more={"axes": integers(0, 1, 2, 3)})
    computed = [
        helper.make_node("ReduceMean", ["image", "axes"], ["average"], keepdims=0),
        helper.make_node("Mul", ["average", "bn.running_mean"], ["computed"]),
    ]
    file.graph.node[1].input[3] = "computed"
    for node in reversed(computed):
        file.graph.node.insert(0, node)

    bundle = publish(file, tmp_path)

    assert bundle.manifest.layers == ()
    assert [(u.name, u.channels) for u in bundle.manifest.untracked] == [("normalize", CHANNELS)]


def test_a_file_without_normalization_layers_is_published(tmp_path: Path) -> None:
    file = make([helper.make_node("Relu", ["x"], ["y"])], {"x": ("n", 3)}, {"y": ("n", 3)}, {})

    bundle = publish(file, tmp_path)

    assert bundle.manifest.layers == ()
    assert_answers(bundle, file, random(3, 3))


def test_the_manifest_tells_the_file_its_producer_and_its_size(tmp_path: Path) -> None:
    bundle = publish(images(), tmp_path)

    network, (layer,) = bundle.manifest.network, bundle.manifest.layers
    assert (network.name, network.arguments) == ("given.onnx", {"producer": "hand", "opset": 20})
    assert network.parameters == CHANNELS * 3 * 3 * 3 + 4 * CHANNELS + CHANNELS * 5 + 5
    assert (layer.momentum, layer.num_batches_tracked) == (None, None)
    assert bundle.source() == (tmp_path / "given.onnx").read_bytes()


# batches


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_of_one_size_becomes_one_of_any_size(batch: int, tmp_path: Path) -> None:
    file, rows = images(batch=batch), random(2 * batch, 3, 8, 8)

    bundle = publish(file, tmp_path)

    found = run_file(onnx.load(bundle.model_path), rows)
    expected = np.concatenate([run_file(file, rows[:batch]), run_file(file, rows[batch:])])
    assert [record.shape[0] for record in (*bundle.manifest.inputs, *bundle.manifest.outputs)] == [-1, -1]
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("shape", [[1, -1], [1, CHANNELS], [-1, CHANNELS]])
def test_a_reshape_that_holds_the_size_of_the_batch_is_freed_of_it(shape: list[int], tmp_path: Path) -> None:
    tail = [helper.make_node("Reshape", ["pooled", "shape"], ["flat"])]

    bundle = publish(images(batch=1, tail=tail, more={"shape": integers(*shape)}), tmp_path)

    assert run_file(onnx.load(bundle.model_path), random(4, 3, 8, 8)).shape == (4, 5)


def test_a_reshape_that_computes_its_shape_follows_the_batch(tmp_path: Path) -> None:
    tail = [
        helper.make_node("Shape", ["image"], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "channels"], ["shape"], axis=0),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
    ]

    bundle = publish(images(batch=3, tail=tail, more={"channels": integers(CHANNELS)}), tmp_path)

    assert run_file(onnx.load(bundle.model_path), random(4, 3, 8, 8)).shape == (4, 5)


def test_a_file_of_torch_for_one_row_answers_for_many(tmp_path: Path) -> None:
    network, rows = block(), random(6, 3, 8, 8)

    bundle = publish(by_torch(network, 1, 3, 8, 8, opset=17), tmp_path)

    found = run_file(onnx.load(bundle.model_path), rows)
    assert np.abs(found - answers(network, torch.from_numpy(rows))).max() < TOLERANCE * np.abs(found).max()


def test_an_output_that_does_not_follow_the_batch_is_named(tmp_path: Path) -> None:
    tail = [
        helper.make_node("Reshape", ["pooled", "shape"], ["rows_first"]),
        helper.make_node("Transpose", ["rows_first"], ["rows_last"], perm=[1, 0]),
        helper.make_node("Reshape", ["rows_last", "shape"], ["flat"]),
    ]

    message = refusal(images(batch=2, tail=tail, more={"shape": integers(2, CHANNELS)}), tmp_path)

    assert message == (
        "logits: expected a first axis that varies with the rows, got shape [4, 5] "
        "(it was made for batches of 2, and is served with any number of rows: export it with a batch of any size, "
        "in torch by torch.onnx.export(..., dynamic_shapes={'image': {0: 'batch'}}))"
    )


class OffsetByRow(nn.Module):
    """Adds a tensor that it makes as large as the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        """``(rows, 3)`` to ``(rows, 4)``."""
        offset: Tensor = torch.ones(x.shape[0], 1).cumsum(1) + self.norm(self.linear(x)).relu()
        return offset


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's exporter uses what torch deprecates
def test_a_file_of_torch_that_is_refused_for_its_batch_is_taken_once_it_is_exported_as_the_refusal_says(
    tmp_path: Path,
) -> None:
    """It writes the number of rows into whatever is computed from it, unless it is told that the axis varies."""
    network = OffsetByRow().eval()
    arguments: dict[str, Any] = {"args": (torch.randn(2, 3),), "dynamo": True, "verbose": False}
    file = tmp_path / "offset.onnx"
    torch.onnx.export(network, f=file, **arguments)
    with pytest.raises(ImportingError) as refused:
        import_onnx(file, store=tmp_path / "store", name="imported", allow_untrained=True)
    advice = re.search(r"dynamic_shapes=(\{.*\})\)\)$", str(refused.value))
    assert advice is not None

    torch.onnx.export(network, f=file, **arguments, dynamic_shapes=ast.literal_eval(advice[1]))
    bundle = import_onnx(file, store=tmp_path / "store", name="imported", allow_untrained=True)

    assert bundle.manifest.outputs[0].shape == (-1, 4)


def test_rows_that_a_larger_batch_would_mix_are_refused(tmp_path: Path) -> None:
    tail = [helper.make_node("Softmax", ["pooled"], ["soft"], axis=0), helper.make_node("Flatten", ["soft"], ["flat"])]

    message = refusal(images(batch=1, tail=tail, opset=17), tmp_path)

    assert re.match(r"logits: on random rows the folded graph is .* off the network", message)
    assert message.endswith(
        "(it was converted from opset 17; it was made for batches of 1, and is served with any number of rows: export "
        "it with a batch of any size, in torch by torch.onnx.export(..., dynamic_shapes={'image': {0: 'batch'}}))"
    )


# external data


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file whose constants are in ``weights.data`` beside it."""
    return save_with_external_data(images(), tmp_path / "given.onnx", "weights.data")


def relocate(path: Path, location: str) -> None:
    """Let a file say that its external data is elsewhere."""
    file = onnx.load(path, load_external_data=False)
    for tensor in file.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    save(file, path)


def test_external_data_of_an_attribute_becomes_part_of_the_source_too(tmp_path: Path) -> None:
    file = images()
    (weight,) = (tensor for tensor in file.graph.initializer if tensor.name == "conv.weight")
    constant = onnx.helper.make_node("Constant", [], ["conv.weight"], value=weight, name="constant")
    file.graph.initializer.remove(weight)
    file.graph.node.insert(0, constant)
    path = tmp_path / "given.onnx"
    onnx.save(file, path, save_as_external_data=True, location="weights.data", size_threshold=0, convert_attribute=True)

    source = onnx.load_model_from_string(read_file(path))

    (kept,) = (node.attribute[0].t for node in source.graph.node if node.op_type == "Constant")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept), onnx.numpy_helper.to_array(weight))


def test_external_data_becomes_part_of_the_source(outside: Path, tmp_path: Path) -> None:
    bundle = import_onnx(outside, store=tmp_path / "store", name="imported")

    (tmp_path / "weights.data").unlink()
    source = onnx.load_from_string(bundle.source())
    assert [tensor.external_data[:] for tensor in source.graph.initializer if tensor.external_data] == []
    assert_answers(bundle, source, random(3, 3, 8, 8))
    assert main(["verify", str(bundle.path)]) == 0


def lose(path: Path) -> None:
    (path.parent / "weights.data").unlink()


def cut(path: Path) -> None:
    (path.parent / "weights.data").write_bytes(bytes(100))


def link(path: Path) -> None:
    (path.parent / "weights.data").rename(path.parent / "elsewhere")
    (path.parent / "weights.data").symlink_to(path.parent / "elsewhere")


def leave(path: Path) -> None:
    (path.parent / "weights.data").rename(path.parent.parent / "elsewhere")
    relocate(path, "../elsewhere")


def make_absolute(path: Path) -> None:
    relocate(path, str(path.parent / "weights.data"))


def grow(path: Path) -> None:
    file = onnx.load(path, load_external_data=False)
    file.graph.initializer[0].dims[0] = 2**30
    save(file, path)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lose, "expected its external data beside it: .*conv.weight.* is not"),
        (cut, "expected its external data beside it: .* exceeds available data .* 'conv.weight'"),
        (link, "expected its external data beside it: .*conv.weight.* is a symbolic link"),
        (leave, "expected its external data beside it: .*conv.weight.* points outside the directory"),
        (make_absolute, "expected its external data beside it: .*conv.weight.* is an absolute path"),
        (grow, "expected at most 2147483647 bytes with its external data, got 115964"),
    ],
)
def test_external_data_that_can_not_be_taken_is_refused(
    damage: Callable[[Path], None], expected: str, outside: Path, tmp_path: Path
) -> None:
    damage(outside)

    with pytest.raises(ImportingError, match=expected) as refused:
        import_onnx(outside, store=tmp_path / "store", name="imported")

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "store").exists()


# real rows

IMAGE = "FP32 of shape [-1, 3, 8, 8]"


def save_rows(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its other keyword is no array
    return path


def test_real_rows_are_verified_with_and_become_the_sample(tmp_path: Path) -> None:
    rows = random(20, 3, 8, 8)

    bundle = publish(images(), tmp_path, rows=save_rows(tmp_path / "rows.npz", image=rows))

    assert [(check.rows, check.num_rows) for check in bundle.manifest.verification.checks][1:] == [("real", 20)]
    assert np.array_equal(bundle.sample().inputs["image"], rows[:16])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"picture": random(2, 3, 8, 8)}, "expected the arrays ['image'], got ['picture']"),
        ({"image": random(2, 3, 9, 8)}, f"image: expected {IMAGE}, got float32 of shape [2, 3, 9, 8]"),
        ({"image": random(0, 3, 8, 8)}, f"image: expected {IMAGE}, got float32 of shape [0, 3, 8, 8]"),
        ({"image": random(2, 3, 8, 8).astype(np.float64)}, f"image: expected {IMAGE}, got float64"),
    ],
)
def test_rows_that_do_not_fit_are_refused(arrays: Arrays, expected: str, tmp_path: Path) -> None:
    message = refusal(images(), tmp_path, rows=save_rows(tmp_path / "rows.npz", **arrays))

    assert message.startswith(f"rows: {expected}")


def test_rows_of_another_number_in_each_array_are_refused(tmp_path: Path) -> None:
    file = make([helper.make_node("Add", ["x", "y"], ["z"])], {"x": ("n", 3), "y": ("n", 3)}, {"z": ("n", 3)}, {})

    message = refusal(file, tmp_path, rows=save_rows(tmp_path / "rows.npz", x=random(4, 3), y=random(1, 3)))

    assert message == "rows: expected the same number of rows in every array, got {'x': 4, 'y': 1}"


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"expected an .npz file"):
        publish(images(), tmp_path, rows=tmp_path / "rows.npz")


def test_whole_numbers_are_tried_with_zeros_and_ones(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["table", "tokens"], ["y"])]
    file = make(nodes, {"tokens": ("n", "length")}, {"y": ("n", "length", 4)}, {"table": random(2, 4)})
    file.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64

    bundle = publish(file, tmp_path)

    tokens = bundle.sample().inputs["tokens"]
    assert (set(tokens.ravel()), tokens.shape) == ({0, 1}, (16, 64))


def test_a_size_that_a_graph_can_not_take_is_blamed_on_the_axes_that_vary(tmp_path: Path) -> None:
    file = make([helper.make_node("Add", ["x", "b"], ["y"])], {"x": ("n", "m")}, {"y": ("n", "m")}, {"b": random(3)})

    message = refusal(file, tmp_path)

    assert message.endswith("(axes that vary were tried with 64, real rows may do better)")
    assert publish(file, tmp_path, rows=save_rows(tmp_path / "rows.npz", x=random(2, 3))).manifest.layers == ()


# what is refused


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is no ONNX file", b"\x80\x04PK" * 40, images().SerializeToString()[:-9]],
    ids=["empty", "text", "pickle", "truncated"],
)
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "given.onnx").write_bytes(content)

    with pytest.raises(ImportingError, match=r"given\.onnx: expected an ONNX file"):
        import_onnx(tmp_path / "given.onnx", store=tmp_path / "store", name="imported")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportingError, match="expected a file, there is none"):
        import_onnx(tmp_path, store=tmp_path / "store", name="imported")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"attributes": {"training_mode": 1}}, "normalize: expected inference mode, got a node that normalizes by"),
        ({"opset": 7, "attributes": {"spatial": 0}}, "normalize: expected one mean a channel, got one for every"),
        (
            {"changes": {"bn.running_var": np.array([1, np.nan, 1, 1], np.float32)}},
            "bn.running_var: expected finite numbers",
        ),
        (
            {"changes": {"bn.running_var": np.array([1, -1, 1, 1], np.float32)}},
            "bn.running_var: expected no negative variance",
        ),
        (
            {"changes": {"bn.running_mean": np.zeros(5, np.float32)}},
            "expected shapes that agree, for any number of rows: ",
        ),
        (
            {"tail": [helper.make_node("Foo", ["pooled"], ["flat"])]},
            "expected a valid ONNX graph: No Op registered for Foo",
        ),
        (
            {"tail": [helper.make_node("Foo", ["pooled"], ["flat"], domain="mine")], "domains": ["mine"]},
            "graph: expected one that ONNX Runtime can load: ",
        ),
        ({"tail": []}, "expected a valid ONNX graph: "),
    ],
    ids=["training", "activations", "nan", "negative", "channels", "operator", "domain", "dangling"],
)
def test_a_graph_that_can_not_be_taken_is_refused(options: Mapping[str, Any], expected: str, tmp_path: Path) -> None:
    message = refusal(images(**options), tmp_path)

    assert message.startswith(expected)


@pytest.mark.parametrize(("opset", "outputs"), [(6, 1), (9, 5)])
def test_training_mode_is_known_by_what_an_opset_says_of_it(opset: int, outputs: int, tmp_path: Path) -> None:
    node = normalize("x", "y", list(statistics("bn")), name="bn")
    node.output.extend(["mean", "variance", "saved_mean", "saved_variance"][: outputs - 1])
    file = make([node], {"x": (2, CHANNELS)}, {"y": (2, CHANNELS)}, statistics("bn"), opset=opset, ir_version=4)

    assert refusal(file, tmp_path).startswith("bn: expected inference mode")


def test_a_conversion_that_fails_is_told(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)]
    file = make(nodes, {"x": ("n", 3, 2)}, {"y": ("n", 3, 2)}, {"b": random(3)}, opset=6, ir_version=4)

    message = refusal(file, tmp_path)

    assert message.startswith("expected opset 18 or one that can be converted to it, got 6: ")


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"x": ()}, "x: expected a tensor with a known number of axes, the first for the rows"),
        (
            {"x": (2, 3), "y": (4, 3)},
            "expected the same number of rows in every input, at least one, got {'x': 2, 'y': 4}",
        ),
        ({"x": (0, 3)}, "expected the same number of rows in every input, at least one, got {'x': 0}"),
        ({}, "expected at least one input, got none"),
    ],
)
def test_inputs_that_are_no_rows_are_refused(
    shapes: Mapping[str, tuple[int, ...]], expected: str, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Relu", [name], [f"{name}_"]) for name in shapes or ["constant"]]
    outputs = {node.output[0]: shapes.get(node.input[0], (1,)) for node in nodes}

    message = refusal(make(nodes, shapes, outputs, {"constant": random(1)}), tmp_path)

    assert message == expected


def test_a_sequence_as_input_is_refused(tmp_path: Path) -> None:
    file = images()
    file.graph.input.append(helper.make_tensor_sequence_value_info("words", onnx.TensorProto.FLOAT, None))

    assert refusal(file, tmp_path) == "words: expected a tensor, got a sequence or an optional one"


def test_statistics_that_no_data_has_updated_are_taken_only_if_that_is_meant(tmp_path: Path) -> None:
    new = {"bn.running_mean": np.zeros(CHANNELS, np.float32), "bn.running_var": np.ones(CHANNELS, np.float32)}

    message = refusal(images(changes=new), tmp_path)

    assert message.startswith("bn: expected statistics that data has updated")
    assert len(publish(images(changes=new), tmp_path, allow_untrained=True).manifest.layers) == 1


# the commands


def test_an_imported_file_is_served_as_onnx_runtime_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, rows = channels_last(), random(3, 8, 8, 3)
    path, store = save(file, tmp_path / "flowers.onnx"), tmp_path / "store"

    code = main(["import", str(path), "--name", "flowers", "--store", str(store)])

    printed = capsys.readouterr()
    with over_socket(store, tmp_path / "log") as server, httpx.Client(base_url=server.url) as client:
        server.wait_until_ready("/v2/models/flowers/ready")
        tensor = {"name": "image:0", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        answer = client.post("/v2/models/flowers/infer", json={"inputs": [tensor]}).json()
        normalization = client.get("/v2/models/flowers/normalization").json()
    (output,) = answer["outputs"]
    found = np.array(output["data"]).reshape(output["shape"])
    assert (code, printed.err) == (0, "")
    assert "1 of 1 normalization layers folded" in printed.out
    assert np.abs(found - run_file(file, rows)).max() < TOLERANCE * np.abs(found).max()
    assert [(layer["name"], layer["into"]) for layer in normalization["layers"]] == [
        ("model/bn/FusedBatchNormV3", "model/conv/Conv2D")
    ]


def test_an_imported_bundle_is_verified_by_its_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = publish(images(opset=9, batch=1), tmp_path)
    (tmp_path / "given.onnx").unlink()

    code = main(["verify", str(bundle.path)])

    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert SOURCE_FILE in bundle.manifest.files
    assert re.search(r"^ +tap +bn +\d", printed.out, flags=re.MULTILINE)


def test_a_file_that_can_not_be_imported_ends_the_command_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["import", str(tmp_path / "none.onnx"), "--name", "none", "--store", str(tmp_path / "store")])

    assert code == 1
    assert capsys.readouterr().err == f"bntrain: {tmp_path / 'none.onnx'}: expected a file, there is none\n"
    assert not (tmp_path / "store").exists()


def test_two_imports_are_two_versions(tmp_path: Path) -> None:
    publish(images(), tmp_path)
    publish(images(), tmp_path)

    assert Store(tmp_path / "store").versions("imported") == [1, 2]
