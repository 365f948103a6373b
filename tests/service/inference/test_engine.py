from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from models.bundle import Sample
from service.errors import EngineError
from service.inference.devices import CPU, CUDA, choose_device
from service.inference.engine import SELF_TEST_TOLERANCE, Arrays, Engine
from tests.drafts import draft

ON_CPU = choose_device("cpu", [CPU])


def engine_of(model: bytes, folder: Path) -> Engine:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return Engine(path, ON_CPU, threads=1)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The graph of a draft."""
    return engine_of(draft().model, tmp_path)


def rows(count: int) -> Arrays:
    return {"x": np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)}


@pytest.mark.parametrize("count", [1, 2, 7, 256])
def test_the_answers_are_those_of_a_plain_session(engine: Engine, count: int) -> None:
    session = onnxruntime.InferenceSession(draft().model, providers=[CPU])

    (answer,) = engine.run(rows(count), ["logits"])

    np.testing.assert_array_equal(answer, session.run(["logits"], rows(count))[0], strict=True)


@pytest.mark.parametrize("names", [["logits", "norm"], ["norm", "logits"], ["norm"], ["logits"]])
def test_outputs_come_in_the_order_in_which_they_are_wanted(tmp_path: Path, names: list[str]) -> None:
    engine = engine_of(with_norm_as_output(), tmp_path)

    answers = engine.run(rows(3), names)

    assert [answer.shape for answer in answers] == [{"logits": (3, 2), "norm": (3, 3)}[name] for name in names]


def with_norm_as_output() -> bytes:
    """The graph of a draft, the normalization layer's tensor given out too."""
    model = onnx.load_from_string(draft().model)
    model.graph.output.append(onnx.helper.make_tensor_value_info("norm", onnx.TensorProto.FLOAT, ["batch", 3]))
    return bytes(model.SerializeToString())


def test_threads_that_run_at_once_get_their_own_answers(engine: Engine) -> None:
    expected = [engine.run(rows(count), ["logits"])[0] for count in range(1, 33)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda count: engine.run(rows(count), ["logits"])[0], range(1, 33)))

    for answer, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(answer, alone)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({}, ["logits"]),
        ({"y": np.zeros((1, 4), np.float32)}, ["logits"]),
        ({"x": np.zeros((1, 5), np.float32)}, ["logits"]),
        ({"x": np.zeros((1, 4), np.float64)}, ["logits"]),
        ({"x": np.zeros((1, 4), np.float32)}, ["probabilities"]),
    ],
)
def test_what_the_runtime_can_not_run_is_an_engine_error(engine: Engine, inputs: Arrays, outputs: list[str]) -> None:
    reason = "the runtime failed on this request: "

    with pytest.raises(EngineError) as failure:
        engine.run(inputs, outputs)

    assert str(failure.value).startswith(reason)
    assert len(str(failure.value)) > len(reason)


@pytest.mark.parametrize("model", [b"", b"no graph", bytes(1000), draft().model[:200]])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, model: bytes) -> None:
    reason = "model.onnx: expected a graph that ONNX Runtime can load: "

    with pytest.raises(EngineError) as failure:
        engine_of(model, tmp_path)

    assert str(failure.value).startswith(reason)
    assert len(str(failure.value)) > len(reason)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"

    with pytest.raises(EngineError, match=r"^model\.onnx: "):
        Engine(path, ON_CPU, threads=1)


WITHOUT_GPU = pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this runtime can use a GPU")
# ONNX Runtime warns where it takes another device than the one that it was asked for; what follows is about that
FALLS_BACK = pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")


@WITHOUT_GPU
@FALLS_BACK
def test_the_cpu_is_never_taken_in_place_of_a_gpu_that_was_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(draft().model)
    named = choose_device("cuda", [CUDA, CPU])

    with pytest.raises(EngineError) as failure:
        Engine(path, named, threads=1)

    assert str(failure.value) == (
        "device: expected cuda:0 (CUDAExecutionProvider), the runtime fell back to CPUExecutionProvider"
    )


@WITHOUT_GPU
@FALLS_BACK
def test_the_cpu_is_taken_in_place_of_a_gpu_that_was_only_found(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(draft().model)
    found = choose_device("auto", [CUDA, CPU])

    engine = Engine(path, found, threads=1)

    assert engine.device == "cpu"
    assert engine.run(rows(1), ["logits"])[0].shape == (1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_draft_passes_its_own_self_test(tmp_path: Path, seed: int) -> None:
    tiny = draft(seed=seed, bias=5.0)
    engine = engine_of(tiny.model, tmp_path)

    engine.self_test(tiny.sample)

    (answer,) = engine.run(tiny.sample.inputs, ["logits"])
    # sums of 4 and 3 products in float32, of sizes below 10: some 1e-6
    np.testing.assert_allclose(answer, tiny.sample.outputs["logits"], rtol=0, atol=1e-5)


def tampered(change: Callable[[Arrays], None]) -> Sample:
    """A draft's sample whose expected answers were changed."""
    sample = draft().sample
    change(sample.outputs)
    return sample


def move_one(outputs: Arrays) -> None:
    outputs["logits"][2, 1] += 1.01 * SELF_TEST_TOLERANCE * np.abs(outputs["logits"]).max()


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
        engine.self_test(sample)

    assert str(failure.value).startswith("self-test: logits: expected ")


def test_the_self_test_catches_an_answer_of_infinity(engine: Engine) -> None:
    sample = draft().sample
    sample.outputs["logits"][0, 0] = np.inf

    with pytest.raises(EngineError, match=r"^self-test: logits: "):
        engine.self_test(sample)


def test_the_self_test_catches_a_graph_that_answers_nan(engine: Engine) -> None:
    sample = draft().sample
    sample.inputs["x"][0, 0] = np.nan

    with pytest.raises(EngineError) as failure:
        engine.self_test(sample)

    assert str(failure.value).startswith("self-test: logits: ")


def test_the_self_test_allows_what_rounding_does(engine: Engine) -> None:
    sample = draft().sample
    sample.outputs["logits"][:] *= 1 + SELF_TEST_TOLERANCE / 2

    engine.self_test(sample)

    assert (engine.run(sample.inputs, ["logits"])[0] != sample.outputs["logits"]).all()


def test_the_self_test_catches_another_number_of_rows(engine: Engine) -> None:
    sample = draft().sample
    shorter = Sample(sample.inputs, {"logits": sample.outputs["logits"][:-1]})

    with pytest.raises(EngineError) as failure:
        engine.self_test(shorter)

    assert str(failure.value) == "self-test: logits: expected float32 of shape (4, 2), got float32 of shape (5, 2)"


def test_the_self_test_catches_an_output_that_the_graph_lacks(engine: Engine) -> None:
    sample = draft().sample
    renamed = Sample(sample.inputs, {"probabilities": sample.outputs["logits"]})

    with pytest.raises(EngineError, match="probabilities"):
        engine.self_test(renamed)
