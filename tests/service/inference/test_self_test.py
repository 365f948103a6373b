from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.bundle import Sample
from service.errors import EngineError
from service.inference.devices import CPU, choose_device
from service.inference.engine import Arrays, Engine
from service.inference.self_test import TOLERANCE, rows_are_independent, self_test
from tests.drafts import draft


def engine_of(model: bytes, folder: Path) -> Engine:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return Engine(path, choose_device("cpu", [CPU]), threads=1)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The graph of a draft."""
    return engine_of(draft().model, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_a_draft_passes_its_own_self_test(tmp_path: Path, seed: int) -> None:
    tiny = draft(seed=seed, bias=5.0)
    engine = engine_of(tiny.model, tmp_path)

    self_test(engine, tiny.sample)

    (answer,) = engine.run(tiny.sample.inputs, ["logits"])
    # sums of 4 and 3 products in float32, of sizes below 10: some 1e-6
    np.testing.assert_allclose(answer, tiny.sample.outputs["logits"], rtol=0, atol=1e-5)


def tampered(change: Callable[[Arrays], None]) -> Sample:
    """A draft's sample whose expected answers were changed."""
    sample = draft().sample
    change(sample.outputs)
    return sample


def move_one(outputs: Arrays) -> None:
    outputs["logits"][2, 1] += 1.01 * TOLERANCE * np.abs(outputs["logits"]).max()


def swap_rows(outputs: Arrays) -> None:
    outputs["logits"][[0, 1]] = outputs["logits"][[1, 0]]


def put_nan(outputs: Arrays) -> None:
    outputs["logits"][0, 0] = np.nan


def put_all_nan(outputs: Arrays) -> None:
    outputs["logits"][:] = np.nan


def put_zeros(outputs: Arrays) -> None:
    outputs["logits"][:] = 0


@pytest.mark.parametrize("change", [move_one, swap_rows, put_nan, put_all_nan, put_zeros])
def test_the_self_test_catches_an_answer_that_is_another(engine: Engine, change: Callable[[Arrays], None]) -> None:
    sample = tampered(change)

    with pytest.raises(EngineError) as failure:
        self_test(engine, sample)

    assert str(failure.value).startswith("self-test: logits: expected ")


def test_the_self_test_catches_an_answer_of_infinity(engine: Engine) -> None:
    sample = draft().sample
    sample.outputs["logits"][0, 0] = np.inf

    with pytest.raises(EngineError, match=r"^self-test: logits: "):
        self_test(engine, sample)


def test_the_self_test_catches_a_graph_that_answers_nan(engine: Engine) -> None:
    sample = draft().sample
    sample.inputs["x"][0, 0] = np.nan

    with pytest.raises(EngineError) as failure:
        self_test(engine, sample)

    assert str(failure.value).startswith("self-test: logits: ")


def test_the_self_test_allows_what_rounding_does(engine: Engine) -> None:
    sample = draft().sample
    sample.outputs["logits"][:] *= 1 + TOLERANCE / 2

    self_test(engine, sample)

    assert (engine.run(sample.inputs, ["logits"])[0] != sample.outputs["logits"]).all()


def test_the_self_test_catches_another_number_of_rows(engine: Engine) -> None:
    sample = draft().sample
    shorter = Sample(sample.inputs, {"logits": sample.outputs["logits"][:-1]})

    with pytest.raises(EngineError) as failure:
        self_test(engine, shorter)

    assert str(failure.value) == "self-test: logits: expected float32 of shape (4, 2), got float32 of shape (5, 2)"


def test_the_self_test_catches_an_output_that_the_graph_lacks(engine: Engine) -> None:
    sample = draft().sample
    renamed = Sample(sample.inputs, {"probabilities": sample.outputs["logits"]})

    with pytest.raises(EngineError, match="probabilities"):
        self_test(engine, renamed)


def test_rows_of_a_draft_are_answered_alone_as_in_company(engine: Engine) -> None:
    sample = draft().sample

    independent = rows_are_independent(engine, sample)

    assert independent


def with_batch_statistics() -> bytes:
    """A draft's graph, its logits less their mean over the rows."""
    model = onnx.load_from_string(draft().model)
    model.graph.node[-1].output[0] = "raw"
    axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [0])
    model.graph.initializer.append(axes)
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["raw", "axes"], ["mean"], keepdims=1))
    model.graph.node.append(onnx.helper.make_node("Sub", ["raw", "mean"], ["logits"]))
    return bytes(model.SerializeToString())


def test_rows_that_are_normalized_by_their_batch_are_not_independent(tmp_path: Path) -> None:
    engine = engine_of(with_batch_statistics(), tmp_path)

    independent = rows_are_independent(engine, draft().sample)

    assert not independent
