from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from folding.observing import observe
from models.observed_rows import Columns
from models.stacked_moments import StackedMoments
from models.taps import TapUnits
from tests.drafts import draft, held_out, logits, observed_by


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
    units = TapUnits.of(layer, "output", None)

    # onnx types the dictionary that it returns for intermediate=True as a list
    tensors: Any = ReferenceEvaluator(tiny.model).run(None, {"x": rows}, intermediate=True)
    live = (tensors["norm"] - units.center) / units.scale

    # in training deviations, of which eps takes away some 1e-5
    np.testing.assert_allclose(live.mean(axis=0), 0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(live.var(axis=0), layer.variance / (layer.variance + layer.eps), rtol=1e-5)


def test_the_probe_is_of_this_graph_and_the_calibration_of_its_layer() -> None:
    tiny = draft(seed=3)
    columns = Columns.of(tiny.layers, tiny.normalization, tiny.tap_maps)
    probe, calibration = observed_by(tiny).probe, observed_by(tiny).calibration
    assert calibration is not None

    (found,) = observe(tiny.model, probe, columns, [held_out(3)])

    scores = calibration.scores(StackedMoments.of(found), columns)
    assert len(found) == calibration.rows == len(held_out(3))
    # the whole of the rows that it was calibrated by is at no distance from them: T2 is 0
    assert scores.shape == (1,)
    assert scores[0] < 0


def test_with_a_ground_every_feature_has_an_atom() -> None:
    tiny = draft(ground=True)

    (found,) = observed_by(tiny).atoms

    assert (found.input, found.channels.tolist(), found.values.tolist()) == ("x", [0, 1, 2, 3], [0.0] * 4)


def test_without_a_ground_no_feature_has_an_atom() -> None:
    tiny = draft()

    found = observed_by(tiny).atoms

    assert found == ()


def test_another_graph_has_no_probe() -> None:
    other = draft(model=b"")

    assert other.observing is None


def test_a_bias_moves_every_answer_and_nothing_else() -> None:
    plain, moved = draft(), draft(bias=10.0)

    difference = moved.sample.outputs["logits"] - plain.sample.outputs["logits"]

    np.testing.assert_allclose(difference, 10.0, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(moved.sample.inputs["x"], plain.sample.inputs["x"])


def test_the_sample_is_what_the_network_answers() -> None:
    tiny = draft(seed=7)

    answers = logits(tiny.parameters or {}, tiny.sample.inputs["x"])

    np.testing.assert_array_equal(answers, tiny.sample.outputs["logits"])
