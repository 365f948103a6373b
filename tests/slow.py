"""This module makes a bundle whose graph takes long for every run, whatever its rows, so that others have to wait."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models.bundle import Sample
from models.draft import BundleDraft
from tests.drafts import CLASSES, INPUTS, draft

SINES = 1_000_000
"""A sine of so many numbers takes some milliseconds; each is taken of the one before, so that none can be left out."""


def slow_draft(name: str = "slow", *, turns: int) -> BundleDraft:
    """A draft without normalization layers that answers zeros, after so many turns of some milliseconds each."""
    x = np.zeros((2, INPUTS), np.float32)
    changes: dict[str, Any] = {
        "layers": (),
        "normalization": (),
        "model": _graph(turns),
        "sample": Sample({"x": x}, {"logits": np.zeros((2, CLASSES), np.float32)}),
    }
    return draft(name, **changes)


def _graph(turns: int) -> bytes:
    """``logits = 0 * (x @ w + s)``, where ``s`` is the sum of a sine of a sine of ... of many numbers."""
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Sin", ["before"], ["after"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [SINES]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [SINES]),
        ],
    )
    constants: dict[str, np.ndarray[Any, Any]] = {
        "w": np.zeros((INPUTS, CLASSES), np.float32),
        "size": np.array([SINES], np.int64),
        "turns": np.array(turns, np.int64),
        "yes": np.array(True),
        "zero": np.array(0, np.float32),
    }
    graph = helper.make_graph(
        [
            # begins with the rows, so that the runtime can't compute it once and for all
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
            helper.make_node("Expand", ["mean", "size"], ["start"]),
            helper.make_node("Loop", ["turns", "yes", "start"], ["end"], body=turn),
            helper.make_node("ReduceMean", ["end"], ["s"], keepdims=0),
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "s"], ["sum"]),
            helper.make_node("Mul", ["sum", "zero"], ["logits"]),
        ],
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
