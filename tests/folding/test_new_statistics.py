"""New statistics are written wherever the old ones are, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from folding.new_statistics import Change, RenewedGraph, layers_that_share, renew_graph, renew_parameters, renew_source
from models.bundle import Arrays
from models.layers import NormalizationLayer
from tests.training.examples import Forward, build, export, normal_rows
from tests.training.onnx_files import make, normalize, statistics

OLD = np.array([1.0, 2.0], np.float32)
NEW = np.array([3.0, 4.0], np.float32)


def layer(name: str, *, mean: tuple[float, float] = (3, 4)) -> NormalizationLayer:
    """New statistics of two channels."""
    return NormalizationLayer(name, 1e-5, np.ones(2), np.zeros(2), np.array(mean, np.float64), np.array([5.0, 6.0]))


def chain(*names: tuple[str, ...]) -> bytes:
    """One normalization after another, ``n0``, ``n1``..., that read parameters of these names."""
    nodes, taken = [], "rows"
    for index, parameters in enumerate(names):
        nodes.append(normalize(taken, f"y{index}", parameters))
        nodes[-1].name = f"n{index}"
        taken = f"y{index}"
    constants = {name: np.array([1.0, 2.0], np.float32) for parameters in names for name in parameters}
    file = make(nodes, {"rows": ("batch", 2)}, {taken: ("batch", 2)}, constants)
    return bytes(file.SerializeToString())


def read(graph: bytes, node: str) -> list[list[float]]:
    """The mean and the variance that a node reads."""
    model = onnx.load_from_string(graph)
    tensors = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    (found,) = (n for n in model.graph.node if n.name == node)
    return [tensors[found.input[index]] for index in (3, 4)]


def test_a_node_reads_the_new_statistics_under_the_old_names() -> None:
    graph = chain(("g", "b", "mean", "variance"))

    renewed = renew_graph(graph, [layer("n0")])

    assert read(renewed.model, "n0") == [[3, 4], [5, 6]]
    assert renewed.changes is not None
    assert {name: change.new.tolist() for name, change in renewed.changes.items()} == {
        "mean": [3, 4],
        "variance": [5, 6],
    }


def test_a_tensor_that_is_something_else_too_keeps_what_it_holds() -> None:
    graph = chain(("ones", "b", "mean", "ones"))

    renewed = renew_graph(graph, [layer("n0")])

    model = onnx.load_from_string(renewed.model)
    kept = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    assert kept["ones"] == [1, 2]
    assert read(renewed.model, "n0") == [[3, 4], [5, 6]]
    assert renewed.changes is None


def test_two_layers_that_read_one_tensor_get_each_its_own() -> None:
    graph = chain(("g", "b", "mean", "variance"), ("g", "b", "mean", "variance"))

    renewed = renew_graph(graph, [layer("n0"), layer("n1", mean=(7, 8))])

    assert (read(renewed.model, "n0")[0], read(renewed.model, "n1")[0]) == ([3, 4], [7, 8])
    assert renewed.changes is None


def test_two_layers_that_read_one_tensor_and_agree_keep_it() -> None:
    graph = chain(("g", "b", "mean", "variance"), ("g", "b", "mean", "variance"))

    renewed = renew_graph(graph, [layer("n0"), layer("n1")])

    assert renewed.changes is not None
    assert renewed.changes.keys() == {"mean", "variance"}


def test_the_uses_of_one_layer_share_and_other_layers_do_not() -> None:
    network = build(lambda: Forward(lambda net, x: net.b(net.a(net.a(x))), a=nn.BatchNorm1d(3), b=nn.BatchNorm1d(3)))
    graph = export(network, normal_rows(4, 3))

    found = layers_that_share(graph.unfolded, [record.name for record in graph.layers])

    assert found == [("a", "a@2"), ("b",)]


def test_parameters_get_them_under_every_name_of_a_module() -> None:
    parameters: Arrays = {
        "norm.running_mean": OLD,
        "alias.running_mean": OLD.copy(),
        "norm.weight": OLD.copy(),
        "other.running_mean": OLD + 1,
    }

    renewed = renew_parameters(parameters, {"norm.running_mean": Change(OLD, NEW)})

    assert renewed is not None
    assert {name for name, array in renewed.items() if np.array_equal(array, NEW)} == {
        "norm.running_mean",
        "alias.running_mean",
    }
    assert parameters["norm.running_mean"] is OLD


@pytest.mark.parametrize("parameters", [{}, {"mean": OLD + 1}, {"mean": OLD.astype(np.float64)}], ids=str)
def test_parameters_that_do_not_hold_the_old_ones_are_none_to_renew(parameters: Arrays) -> None:
    renewed = renew_parameters(parameters, {"mean": Change(OLD, NEW)})

    assert renewed is None


def changes(source: bytes) -> RenewedGraph:
    return renew_graph(source, [layer("n0")])


def test_a_file_gets_them_under_the_same_names() -> None:
    source = chain(("g", "b", "mean", "variance"))
    found = changes(source).changes
    assert found is not None

    renewed = renew_source(source, found)

    assert renewed is not None
    assert read(renewed, "n0") == [[3, 4], [5, 6]]


def test_a_file_that_reads_them_elsewhere_too_is_none_to_renew() -> None:
    graph = chain(("g", "b", "mean", "variance"))
    found = changes(graph).changes
    assert found is not None

    renewed = [
        renew_source(source, found)
        for source in (chain(("g", "mean", "mean", "variance")), chain(("g", "b", "other", "variance")))
    ]

    assert renewed == [None, None]


def test_statistics_are_written_in_the_type_that_they_had() -> None:
    names = list(statistics("n"))
    assert len(names) == 4
    graph = onnx.load_from_string(chain(("g", "b", "mean", "variance")))
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(OLD.astype(np.float16), tensor.name))

    renewed = renew_graph(graph.SerializeToString(), [layer("n0")])

    assert renewed.changes is not None
    assert {change.new.dtype for change in renewed.changes.values()} == {np.dtype(np.float16)}
