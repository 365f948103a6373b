"""A graph beside its bundle's files holds nothing twice, and is read whole where it lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from folding.errors import GraphError
from folding.stored_graph import SMALLEST_BYTES, read_graph, store_graph
from models.bundle import PARAMETERS_FILE, UNFOLDED_FILE, Arrays
from models.draft import pack_arrays
from tests.training.examples import export, relative_error
from tests.training.networks.small import images, small_network
from tests.training.onnx_files import make, random

PLAIN = onnx.helper.make_node("MatMul", ["rows", "weight"], ["given"])


def product(weight: np.ndarray) -> bytes:
    """A graph with one constant."""
    file = make([PLAIN], {"rows": ("batch", len(weight))}, {"given": ("batch", weight.shape[1])}, {"weight": weight})
    return bytes(file.SerializeToString())


def constants(model: onnx.ModelProto) -> Arrays:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def lay(folder: Path, graph: bytes, beside: dict[str, bytes]) -> Path:
    """Write a graph as stored, and the files beside it."""
    for name, content in beside.items():
        (folder / name).write_bytes(content)
    path = folder / UNFOLDED_FILE
    path.write_bytes(store_graph(graph, beside))
    return path


def test_the_graph_of_a_network_is_small_beside_its_parameters_and_loads_as_it_was(tmp_path: Path) -> None:
    network = small_network("resnet18").eval()
    graph = export(network, images(2)).unfolded
    parameters = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    path = lay(tmp_path, graph, {PARAMETERS_FILE: pack_arrays(parameters)})

    found, expected = constants(onnx.load(path)), constants(onnx.load_from_string(graph))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert path.stat().st_size < 0.1 * len(graph)


def test_the_runtime_loads_it_where_it_lies(tmp_path: Path) -> None:
    weight, rows = random(64, 8), random(3, 64, seed=1)

    path = lay(tmp_path, product(weight), {PARAMETERS_FILE: pack_arrays({"other": random(5), "weight": weight})})

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {"rows": rows})
    assert relative_error(given, rows @ weight) < 1e-6


def test_what_is_found_nowhere_or_is_small_stays_inside(tmp_path: Path) -> None:
    lost, small = random(64, 8), random(8, SMALLEST_BYTES // 32 - 1)
    stored = {PARAMETERS_FILE: pack_arrays({"small": small})}

    for weight in (lost, small):
        path = lay(tmp_path, product(weight), stored)

        (tensor,) = onnx.load(path, load_external_data=False).graph.initializer
        assert not onnx.external_data_helper.uses_external_data(tensor)
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), weight)


def test_the_same_bytes_may_be_read_twice(tmp_path: Path) -> None:
    weight = random(32, 32)
    file = make(
        [onnx.helper.make_node("MatMul", ["rows", "a"], ["x"]), onnx.helper.make_node("MatMul", ["x", "b"], ["given"])],
        {"rows": ("batch", 32)},
        {"given": ("batch", 32)},
        {"a": weight, "b": weight},
    )

    path = lay(tmp_path, file.SerializeToString(), {PARAMETERS_FILE: pack_arrays({"weight": weight})})

    assert all(np.array_equal(array, weight) for array in constants(onnx.load(path)).values())
    assert path.stat().st_size < weight.nbytes


def test_it_is_read_with_its_data_inside(tmp_path: Path) -> None:
    graph = product(random(64, 8))
    path = lay(tmp_path, graph, {PARAMETERS_FILE: graph})

    read = read_graph(path)

    assert constants(onnx.load_from_string(read)).keys() == {"weight"}
    np.testing.assert_array_equal(constants(onnx.load_from_string(read))["weight"], random(64, 8))


def test_data_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    graph = product(random(64, 8))
    path = lay(tmp_path, graph, {PARAMETERS_FILE: graph})
    alone = Path(shutil.copy(path, tmp_path / "alone.onnx"))
    (tmp_path / PARAMETERS_FILE).unlink()

    with pytest.raises(GraphError, match=r"^alone\.onnx: expected an ONNX file with its data beside it: "):
        read_graph(alone)
