import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from service.errors import EngineError, InvalidRequest
from service.inference.devices import CPU, CUDA, choose_device
from service.inference.engine import Arrays, Engine
from tests.drafts import draft

ON_CPU = choose_device("cpu", [CPU])


def engine_of(model: bytes, folder: Path, *, threads: int = 1) -> Engine:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return Engine(path, ON_CPU, threads=threads)


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


def test_a_graph_in_memory_runs_as_one_in_a_file_does(engine: Engine) -> None:
    """A graph and its probe are put together there."""
    in_memory = Engine(draft().model, ON_CPU, threads=1)

    (answer,) = in_memory.run(rows(3), ["logits"])

    np.testing.assert_array_equal(answer, engine.run(rows(3), ["logits"])[0])


def test_bytes_that_are_no_graph_are_refused() -> None:
    """They have no name that could be told."""
    with pytest.raises(EngineError, match=r"^graph: expected a graph that ONNX Runtime can load: "):
        Engine(b"no graph", ON_CPU, threads=1)


def test_for_a_batcher_rows_run_alike_whether_they_are_padding_or_not(engine: Engine) -> None:
    """They cost the same, and are left out of answers later."""
    (answer,) = engine.run_rows(rows(3), ["logits"], 1)

    np.testing.assert_array_equal(answer, engine.run(rows(3), ["logits"])[0])


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


def one_node(operator: str, given: int, gives: int, **attributes: Any) -> bytes:  # noqa: ANN401
    """A graph of one node from ``x`` to ``y``, both of shape ``(rows, 2)``."""
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["x"], ["y"], **attributes)],
        "one",
        [onnx.helper.make_tensor_value_info("x", given, ["batch", 2])],
        [onnx.helper.make_tensor_value_info("y", gives, ["batch", 2])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


FLOAT, BFLOAT16, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16, onnx.TensorProto.STRING
BITS = np.array([[0x3FC0, 0xC000]], np.uint16)
"""1.5 and -2 in BF16: the upper half of the same numbers in FP32."""


def test_bf16_is_given_by_its_bits(tmp_path: Path) -> None:
    engine = engine_of(one_node("Cast", BFLOAT16, FLOAT, to=FLOAT), tmp_path)

    (answer,) = engine.run({"x": BITS}, ["y"])

    np.testing.assert_array_equal(answer, np.array([[1.5, -2.0]], np.float32), strict=True)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_bf16_is_answered_by_its_bits(tmp_path: Path, rows: int) -> None:
    engine = engine_of(one_node("Cast", FLOAT, BFLOAT16, to=BFLOAT16), tmp_path)

    (answer,) = engine.run({"x": np.tile(np.array([1.5, -2.0], np.float32), (rows, 1))}, ["y"])

    np.testing.assert_array_equal(answer, np.tile(BITS, (rows, 1)), strict=True)


def test_text_is_bytes(tmp_path: Path) -> None:
    engine = engine_of(one_node("Identity", STRING, STRING), tmp_path)
    text = np.array([[b"a", "\u00e9\u4e00\0z".encode()]], object)

    (answer,) = engine.run({"x": text}, ["y"])

    assert answer.tolist() == text.tolist()


def test_bytes_that_are_no_text_are_the_clients_error(tmp_path: Path) -> None:
    engine = engine_of(one_node("Identity", STRING, STRING), tmp_path)

    with pytest.raises(InvalidRequest) as refusal:
        engine.run({"x": np.array([[b"a", b"\xff"]], object)}, ["y"])

    assert str(refusal.value) == "inputs: x: expected text in UTF-8, got b'\\xff': invalid start byte"


def test_a_thread_that_has_nothing_to_do_takes_no_cpu(tmp_path: Path) -> None:
    engine = engine_of(draft().model, tmp_path, threads=4)
    engine.run(rows(256), ["logits"])
    before = time.process_time()

    time.sleep(0.2)

    assert time.process_time() - before < 0.1
