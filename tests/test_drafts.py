from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from models.moments import Moments
from tests.drafts import draft, logits


def test_the_graph_is_valid_onnx() -> None:
    model = onnx.load_from_string(draft().model)

    onnx.checker.check_model(model, full_check=True)

    assert (model.ir_version, model.opset_import[0].version) == (10, 20)


@pytest.mark.parametrize("seed", range(5))
def test_the_graph_answers_its_sample(seed: int) -> None:
    tiny = draft(seed=seed, bias=3.0)
    graph = ReferenceEvaluator(tiny.model)

    answers = graph.run(["logits"], tiny.sample.inputs)

    # sums of 4 and 3 products in float32, of sizes below 10: some 1e-6
    np.testing.assert_allclose(np.asarray(answers)[0], tiny.sample.outputs["logits"], rtol=0, atol=1e-5)


def test_the_tap_shows_what_the_layer_was_trained_on() -> None:
    tiny = draft()
    rows = np.random.default_rng(0).normal(size=(256, 4)).astype(np.float32)  # the rows that its statistics are of
    layer = tiny.normalization[0]

    # onnx types the dictionary that it returns for intermediate=True as a list
    tensors: Any = ReferenceEvaluator(tiny.model).run(None, {"x": rows}, intermediate=True)
    live = layer.input_moments(Moments.of(tensors["norm"], channel_axis=1))

    np.testing.assert_allclose(live.mean, layer.mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(live.variance, layer.variance, rtol=1e-5)


def test_a_bias_moves_every_answer_and_nothing_else() -> None:
    plain, moved = draft(), draft(bias=10.0)

    difference = moved.sample.outputs["logits"] - plain.sample.outputs["logits"]

    np.testing.assert_allclose(difference, 10.0, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(moved.sample.inputs["x"], plain.sample.inputs["x"])


def test_the_sample_is_what_the_network_answers() -> None:
    tiny = draft(seed=7)

    answers = logits(tiny.parameters or {}, tiny.sample.inputs["x"])

    np.testing.assert_array_equal(answers, tiny.sample.outputs["logits"])
