"""This module makes small real bundles for tests.

The network is ``x -> hidden -> norm -> relu -> head -> logits`` with 4 inputs, 3 hidden channels and 2 classes. Its
one normalization layer is folded into ``hidden``, so that the tensor ``norm`` of the graph is the layer's output.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from folding.folded import FoldedGraph
from folding.observable import make_observable
from folding.proof import Export
from models.bundle import Arrays, Sample
from models.draft import BundleDraft
from models.layers import NormalizationLayer
from models.manifest import (
    AgreementRecord,
    CheckRecord,
    FoldingRecord,
    GraphRecord,
    LayerRecord,
    NetworkRecord,
    ScaleRecord,
    TapRecord,
    TensorRecord,
    VerificationRecord,
)
from models.observing import Observing
from models.training import DataRecord, TrainingRecord

INPUTS, CHANNELS, CLASSES = 4, 3, 2
TRAINING_ROWS = 256
HELD_OUT_ROWS = 256
SAMPLE_ROWS = 5
EPS = 1e-5


def draft(
    name: str = "tiny",
    *,
    seed: int = 0,
    bias: float = 0.0,
    ground: bool = False,
    **changes: Any,  # noqa: ANN401
) -> BundleDraft:
    """A draft that can be published, and whose graph runs.

    Args:
        name: Of the model.
        seed: Of the weights, and of the rows that the statistics and the sample come from.
        bias: Added to every logit, so that versions which differ in nothing else answer differently.
        ground: Whether its held-out rows are ``grounded``; then 0 is the atom of every feature of its input.
        changes: Fields of the draft to replace. With another graph or other layers it can't be observed, unless it is
            given what by.
    """
    made = _unobserved(name, seed, bias)
    if not changes.keys() & {"model", "layers", "normalization", "tap_maps"}:
        made = replace(made, observing=observing(seed, ground=ground))
    return replace(made, **changes)


def held_out(seed: int = 0) -> NDArray[np.float32]:
    """Further rows like those that a draft's statistics come from, shape ``(256, 4)``: its calibration is of these."""
    return np.random.default_rng((seed, 1)).normal(size=(HELD_OUT_ROWS, INPUTS)).astype(np.float32)


def grounded(rows: NDArray[np.float32], *, seed: int = 0, value: float = 0.0) -> NDArray[np.float32]:
    """Rows with half of their values, drawn by the seed, on a ground: all of one value, as black is of images."""
    on_ground = np.random.default_rng((seed, 2)).uniform(size=rows.shape) < 1 / 2
    return np.where(on_ground, np.float32(value), rows)


@cache
def observing(seed: int = 0, *, ground: bool = False) -> Observing:
    """What a draft is observed by; a bias of the logits changes nothing of it."""
    made = _unobserved("tiny", seed, 0.0)
    graph = FoldedGraph(
        mode="fast",
        model=made.model,
        unfolded=made.unfolded,
        inputs=made.inputs,
        outputs=made.outputs,
        layers=made.layers,
        untracked=(),
        normalization=made.normalization,
        tap_maps={},
    )
    rows = [grounded(held_out(seed)) if ground else held_out(seed)]
    found = make_observable(graph, rows, held_out=rows, seed=seed)
    assert found is not None
    return found


def observed_by(made: BundleDraft | Export) -> Observing:
    """What something that can be observed is observed by."""
    assert made.observing is not None
    return made.observing


def uncalibrated(*, ground: bool = False) -> Observing:
    """The same as of a draft that there were no held-out rows for, or too few."""
    return replace(observing(ground=ground), calibration=None)


def _unobserved(name: str, seed: int, bias: float) -> BundleDraft:
    """A draft that can't be observed."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(TRAINING_ROWS, INPUTS))
    hidden_weight, hidden_bias = rng.normal(size=(CHANNELS, INPUTS)), rng.normal(size=CHANNELS)
    hidden = rows @ hidden_weight.T + hidden_bias
    parameters: Arrays = {
        "hidden.weight": hidden_weight,
        "hidden.bias": hidden_bias,
        "norm.weight": rng.uniform(0.5, 1.5, CHANNELS),
        "norm.bias": rng.normal(size=CHANNELS),
        "norm.running_mean": hidden.mean(axis=0),
        "norm.running_var": hidden.var(axis=0),
        "head.weight": rng.normal(size=(CLASSES, CHANNELS)),
        "head.bias": rng.normal(size=CLASSES) + bias,
    }
    layer = NormalizationLayer(
        name="norm",
        eps=EPS,
        gamma=parameters["norm.weight"],
        beta=parameters["norm.bias"],
        mean=parameters["norm.running_mean"],
        variance=parameters["norm.running_var"],
    )
    x = rows[:SAMPLE_ROWS].astype(np.float32)
    return BundleDraft(
        name=name,
        network=NetworkRecord(
            name="mlp", arguments={"hidden": [CHANNELS]}, parameters=sum(a.size for a in parameters.values())
        ),
        inputs=(TensorRecord(name="x", datatype="FP32", shape=(-1, INPUTS)),),
        outputs=(TensorRecord(name="logits", datatype="FP32", shape=(-1, CLASSES)),),
        labels=("no", "yes"),
        layers=(_layer_record(layer),),
        folding=_folding_record(),
        training=_training_record(seed),
        verification=_verification_record(),
        model=_graph(parameters),
        unfolded=_unfolded(parameters),
        normalization=(layer,),
        sample=Sample({"x": x}, {"logits": logits(parameters, x)}),
        parameters=parameters,
    )


def logits(parameters: Arrays, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a draft's network answers for rows of shape ``(rows, 4)``: computed in float64, and without folding."""
    hidden = x.astype(np.float64) @ parameters["hidden.weight"].T + parameters["hidden.bias"]
    deviation = np.sqrt(parameters["norm.running_var"] + EPS)
    norm = parameters["norm.weight"] * (hidden - parameters["norm.running_mean"]) / deviation + parameters["norm.bias"]
    answer = np.maximum(norm, 0) @ parameters["head.weight"].T + parameters["head.bias"]
    return np.asarray(answer, dtype=np.float32)


def _graph(parameters: Arrays) -> bytes:
    """The folded graph, its weights in float32."""
    scale = parameters["norm.weight"] / np.sqrt(parameters["norm.running_var"] + EPS)
    weights = {
        "hidden.weight": scale[:, None] * parameters["hidden.weight"],
        "hidden.bias": (parameters["hidden.bias"] - parameters["norm.running_mean"]) * scale + parameters["norm.bias"],
        "head.weight": parameters["head.weight"],
        "head.bias": parameters["head.bias"],
    }
    hidden = helper.make_node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["norm"], name="hidden", transB=1)
    return _file([hidden], weights)


def _unfolded(parameters: Arrays) -> bytes:
    """The graph before folding, its weights in float32."""
    hidden = helper.make_node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["hidden"], name="hidden", transB=1)
    norm = helper.make_node(
        "BatchNormalization",
        ["hidden", *(f"norm.{field}" for field in ("weight", "bias", "running_mean", "running_var"))],
        ["norm"],
        name="norm",
        epsilon=EPS,
    )
    return _file([hidden, norm], parameters)


def _file(until_norm: list[NodeProto], weights: Arrays) -> bytes:
    """An ONNX file of the network: the nodes that give ``norm``, then the rest."""
    graph = helper.make_graph(
        [
            *until_norm,
            helper.make_node("Relu", ["norm"], ["relu"], name="relu"),
            helper.make_node("Gemm", ["relu", "head.weight", "head.bias"], ["logits"], name="head", transB=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def _layer_record(layer: NormalizationLayer) -> LayerRecord:
    return LayerRecord(
        name=layer.name,
        kind="BatchNorm1d",
        channels=layer.channels,
        eps=layer.eps,
        momentum=0.1,
        num_batches_tracked=8,
        placement="folded-backward",
        into="hidden",
        reason=None,
        tap=TapRecord(tensor="norm", side="output", channel_axis=1, mapped=False),
        scale=ScaleRecord(
            max=float(np.abs(layer.scale).max()),
            max_over_median=float(np.abs(layer.scale).max() / np.median(np.abs(layer.scale))),
        ),
    )


def _folding_record() -> FoldingRecord:
    return FoldingRecord(
        mode="fast",
        before=GraphRecord(nodes=4, normalization_nodes=1, bytes=700),
        after=GraphRecord(nodes=3, normalization_nodes=0, bytes=500),
        speedup=1.1,
        warnings=(),
    )


def _training_record(seed: int) -> TrainingRecord:
    return TrainingRecord(
        rows=TRAINING_ROWS,
        data=DataRecord(name="normal", rows={"train": TRAINING_ROWS}, sha256="0" * 64),
        recipe={"seed": seed, "epochs": 1},
        metrics={"accuracy": 0.5},
        seconds=0.1,
        libraries={"numpy": np.__version__},
    )


def _verification_record() -> VerificationRecord:
    checks = tuple(
        CheckRecord(
            rows=rows,
            num_rows=SAMPLE_ROWS,
            outputs=(_agreement("logits"),),
            taps=(_agreement("norm"),),
        )
        for rows in ("random", "real")
    )
    return VerificationRecord(reference="numpy", runtime="numpy", tolerance=1e-5, tap_tolerance=1e-4, checks=checks)


def _agreement(name: str) -> AgreementRecord:
    return AgreementRecord(
        name=name, max_absolute_error=1e-7, max_relative_error=1e-7, rounding_error=None, exact_error=None
    )
