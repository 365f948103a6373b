"""This module tests when ONNX Runtime takes the figures of a layer: before it goes on to the next one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from torch import nn

from folding.folded import FoldedGraph
from folding.probe import make_probe
from tests.training.examples import Forward, build, fold, normal_rows, traced

ROW = (16, 12, 12)
LAYERS = 4


def blocks() -> nn.Module:
    """Convolutions of as many channels as a blocked layout takes, a normalization layer behind each."""
    parts = [(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()) for _ in range(LAYERS)]
    features = nn.Sequential(*(module for part in parts for module in part))
    return Forward(lambda net, x: net.head(net.features(x).mean((2, 3))), features=features, head=nn.Linear(16, 3))


@pytest.fixture(scope="module")
def graph() -> FoldedGraph:
    network = build(blocks)
    return fold(traced(network, normal_rows(2, *ROW)), network, "fast")


def of_any_size(graph: FoldedGraph) -> FoldedGraph:
    """The same graph for images of any height and width, of which a probe has to count the values."""
    model = onnx.load_from_string(graph.model)
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.value_info[:]
    (record,) = graph.inputs
    taken = record.model_copy(update={"shape": (-1, 16, -1, -1)})
    return replace(graph, model=model.SerializeToString(), inputs=(taken,))


def order_of_runs(model: bytes, folder: Path) -> list[str]:
    """The operators in the order in which they ran."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(model, options)
    session.run(None, {session.get_inputs()[0].name: np.zeros((2, *ROW), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time")]


@pytest.mark.parametrize("sizes", ["fixed", "any"])
def test_figures_are_taken_before_the_next_layer_runs(graph: FoldedGraph, tmp_path: Path, sizes: str) -> None:
    """Then what they are taken of is still in the caches; after the whole graph it no longer is."""
    observed = graph if sizes == "fixed" else of_any_size(graph)
    probe = make_probe(observed, [normal_rows(2, *ROW).numpy()])
    assert probe is not None

    operators = order_of_runs(observed.model + probe, tmp_path)

    found = [operator for operator in operators if operator in ("Conv", "GlobalAveragePool")]
    assert found == ["Conv", "GlobalAveragePool", "GlobalAveragePool"] * LAYERS
