"""This module makes bundles whose graph gives back what it takes, one for every datatype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.bundle import Sample
from models.datatypes import DATATYPES, Datatype
from models.draft import BundleDraft
from models.manifest import TensorRecord
from tests.drafts import draft

WIDTH = 3
ONNX_TYPES: Mapping[Datatype, int] = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def name_of(datatype: Datatype) -> str:
    """What the model of a datatype is called."""
    return f"identity-{datatype.lower()}"


def rows_of(datatype: Datatype, count: int = 2) -> NDArray[Any]:
    """Some rows of a datatype, as the service holds them."""
    numbers = np.arange(count * WIDTH).reshape(count, WIDTH)
    if datatype == "BYTES":
        rows = np.empty((count, WIDTH), object)
        rows.reshape(-1)[:] = [f"text {number} é".encode() for number in numbers.reshape(-1)]
        return rows
    if datatype == "BF16":
        return np.asarray(numbers.astype(np.float32).view(np.uint32) >> 16, np.uint16)
    return np.asarray(numbers % 2 if datatype == "BOOL" else numbers, DATATYPES[datatype])


def identity_draft(datatype: Datatype) -> BundleDraft:
    """A draft without normalization layers that gives back its ``x`` as ``y``."""
    given, gives = (TensorRecord(name=name, datatype=datatype, shape=(-1, WIDTH)) for name in ("x", "y"))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", ONNX_TYPES[datatype], ["batch", WIDTH])],
        [helper.make_tensor_value_info("y", ONNX_TYPES[datatype], ["batch", WIDTH])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return draft(
        name_of(datatype),
        inputs=(given,),
        outputs=(gives,),
        labels=None,
        layers=(),
        normalization=(),
        model=bytes(model.SerializeToString()),
        sample=Sample({"x": rows_of(datatype)}, {"y": rows_of(datatype)}),
    )
