"""This module makes small ONNX files the way others make them: torch's old exporter, tf2onnx, and by hand."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

Arrays = dict[str, NDArray[Any]]
Shape = Sequence[int | str]

CHANNELS = 4


def make(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: Mapping[str, NDArray[Any]],
    *,
    opset: int = 20,
    ir_version: int = 9,
    constants_are_inputs: bool = False,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A file of some nodes; inputs and outputs are float32, shapes as they say."""
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    if constants_are_inputs:
        values += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in initializers]
    graph = helper.make_graph(
        nodes,
        "hand",
        values,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        initializers,
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, producer_name="hand")


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def statistics(name: str, channels: int = CHANNELS) -> Arrays:
    """What a normalization node of a name takes: gamma, beta, mean and variance, all random."""
    generator = np.random.default_rng(len(name))
    arrays = {field: generator.standard_normal(channels) for field in ("weight", "bias", "running_mean")}
    arrays["running_var"] = generator.uniform(0.5, 2, channels)
    return {f"{name}.{field}": array.astype(np.float32) for field, array in arrays.items()}


def normalize(taken: str, given: str, parameters: Sequence[str], **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
    """A normalization node."""
    return helper.make_node("BatchNormalization", [taken, *parameters], [given], **attributes)


def images(
    *,
    batch: int | str = "rows",
    changes: Mapping[str, NDArray[Any]] | None = None,
    attributes: Mapping[str, Any] | None = None,
    tail: Sequence[onnx.NodeProto] | None = None,
    more: Mapping[str, NDArray[Any]] | None = None,
    **options: Any,  # noqa: ANN401  of make
) -> onnx.ModelProto:
    """Convolution, normalization, rectifier, average, and a linear layer: ``image`` ``(rows, 3, 8, 8)`` to ``logits``.

    Args:
        batch: How many rows.
        changes: Other parameters of the normalization, by name.
        attributes: Further ones of the normalization node.
        tail: Other nodes from ``pooled`` ``(rows, 4, 1, 1)`` to ``flat`` ``(rows, 4)``.
        more: Further constants.
        options: See ``make``.
    """
    parameters = statistics("bn") | dict(changes or {})
    nodes = [
        helper.make_node("Conv", ["image", "conv.weight"], ["convolved"], name="conv", pads=[1, 1, 1, 1]),
        normalize("convolved", "normalized", list(parameters), name="normalize", **(attributes or {})),
        helper.make_node("Relu", ["normalized"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        *([helper.make_node("Flatten", ["pooled"], ["flat"])] if tail is None else tail),
        helper.make_node("Gemm", ["flat", "linear.weight", "linear.bias"], ["logits"], name="linear"),
    ]
    constants = {
        "conv.weight": random(CHANNELS, 3, 3, 3),
        **parameters,
        "linear.weight": random(CHANNELS, 5),
        "linear.bias": random(5),
        **(more or {}),
    }
    return make(nodes, {"image": (batch, 3, 8, 8)}, {"logits": (batch, 5)}, constants, **options)


def channels_last() -> onnx.ModelProto:
    """The same in the way of tf2onnx: channels last, transposed around the convolution, every name a path."""
    names = [f"model/bn/FusedBatchNormV3/ReadVariableOp{suffix}:0" for suffix in ("", "_1", "_2", "_3")]
    nodes = [
        helper.make_node("Transpose", ["image:0"], ["model/conv/t:0"], name="model/conv/t", perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv",
            ["model/conv/t:0", "model/conv/kernel:0"],
            ["model/conv:0"],
            name="model/conv/Conv2D",
            pads=[1, 1, 1, 1],
        ),
        normalize("model/conv:0", "model/bn:0", names, name="model/bn/FusedBatchNormV3", epsilon=1e-3),
        helper.make_node("Relu", ["model/bn:0"], ["model/relu:0"], name="model/relu/Relu"),
        helper.make_node("Transpose", ["model/relu:0"], ["model/back:0"], name="model/back", perm=[0, 2, 3, 1]),
        helper.make_node(
            "ReduceMean", ["model/back:0"], ["model/pool:0"], name="model/pool/Mean", axes=[1, 2], keepdims=0
        ),
        helper.make_node(
            "MatMul", ["model/pool:0", "model/dense/kernel:0"], ["model/dense:0"], name="model/dense/MatMul"
        ),
        helper.make_node("Add", ["model/dense:0", "model/dense/bias:0"], ["dense"], name="model/dense/BiasAdd"),
    ]
    constants = {
        "model/conv/kernel:0": random(CHANNELS, 3, 3, 3),
        **dict(zip(names, statistics("tensorflow").values(), strict=True)),
        "model/dense/kernel:0": random(CHANNELS, 5),
        "model/dense/bias:0": random(5),
    }
    return make(nodes, {"image:0": ("unk__1", 8, 8, 3)}, {"dense": ("unk__2", 5)}, constants, opset=13, ir_version=7)


def by_torch(
    network: nn.Module, *shape: int, opset: int, constants_are_inputs: bool = False, any_batch: bool = False
) -> onnx.ModelProto:
    """What torch's exporter through TorchScript makes of a network, its normalization layers in place."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and that is the point
        torch.onnx.export(
            network,
            (torch.zeros(shape),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=opset,
            training=torch.onnx.TrainingMode.EVAL,
            do_constant_folding=False,
            keep_initializers_as_inputs=constants_are_inputs,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": [0], "logits": [0]} if any_batch else None,
        )
    return onnx.load_from_string(buffer.getvalue())


def save(file: onnx.ModelProto, path: Path) -> Path:
    """Write a file."""
    path.write_bytes(file.SerializeToString())
    return path


def save_with_external_data(file: onnx.ModelProto, path: Path, location: str) -> Path:
    """Write a file whose constants are in another, at a location relative to it."""
    onnx.save_model(file, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def run_file(file: onnx.ModelProto, rows: NDArray[Any]) -> NDArray[Any]:
    """The one output of a file with one input, under ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # that constants are among the inputs
    session = onnxruntime.InferenceSession(file.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    result: NDArray[Any] = found
    return result
