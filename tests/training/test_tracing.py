from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from folding.errors import FoldingError, TensorError
from folding.folded import FoldedGraph
from models.manifest import TensorRecord
from tests.training.examples import (
    INPUT,
    OUTPUT,
    TOLERANCE,
    Forward,
    build,
    export,
    normal_rows,
    parameters,
    relative_error,
    run_graph,
    weights,
)
from training.errors import ExportError, TrainingError
from training.normalization import normalization_layers
from training.publishing import fold_network
from training.tracing import ExampleInputs, read_signature


def convnet() -> nn.Module:
    """Two layers that are declared in the other order than data meets them, one folded and one kept."""
    return Forward(
        lambda net, x: net.late(net.conv_and_early(x).relu()),
        late=nn.BatchNorm2d(4, eps=1e-3, momentum=None, affine=False),
        conv_and_early=nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.25)),
    )


class ByName(nn.Module):
    """Takes a dictionary of tensors and one more, gives a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))

    def forward(self, batch: dict[str, Tensor], *, bias: Tensor) -> dict[str, Tensor]:
        """A vector a row, and its sum."""
        vector = self.features(batch["left"]) + batch["right"] + bias
        return {"vector": vector, "total": vector.sum(dim=1)}


class Lookup(nn.Module):
    """Takes an image and a number, gives a vector and the largest entry's index."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.features = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """A vector a row, and where it is largest."""
        vector = self.features(image.flatten(1)) * self.table(number)
        return vector, vector.argmax(dim=1)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    made = build(convnet)
    normalization_layers(made)["conv_and_early.1"].num_batches_tracked = torch.tensor(12)
    return made


@pytest.fixture(scope="module")
def graph(network: nn.Module) -> FoldedGraph:
    return export(network, normal_rows(2, 3, 6, 6))


def test_tensors_are_recorded_as_clients_see_them(graph: FoldedGraph) -> None:
    inputs, outputs = graph.inputs, graph.outputs

    assert inputs == (TensorRecord(name=INPUT, datatype="FP32", shape=(-1, 3, 6, 6)),)
    assert outputs == (TensorRecord(name=OUTPUT, datatype="FP32", shape=(-1, 4, 4, 4)),)


def test_layers_are_recorded_in_the_order_in_which_data_meets_them(graph: FoldedGraph) -> None:
    early, late = graph.layers

    assert (early.name, early.kind, early.channels, early.eps) == ("conv_and_early.1", "BatchNorm2d", 4, 1e-5)
    assert (early.momentum, early.num_batches_tracked, early.placement) == (0.25, 12, "folded-backward")
    assert (late.name, late.kind, late.channels, late.eps) == ("late", "BatchNorm2d", 4, 1e-3)
    assert (late.momentum, late.num_batches_tracked, late.placement) == (None, 0, "kept")


def test_the_kept_statistics_are_those_of_the_network(network: nn.Module, graph: FoldedGraph) -> None:
    early, late = graph.normalization

    module = normalization_layers(network)["conv_and_early.1"]
    assert module.running_mean is not None
    assert module.running_var is not None
    np.testing.assert_array_equal(early.gamma, module.weight.detach().double().numpy())
    np.testing.assert_array_equal(early.beta, module.bias.detach().double().numpy())
    np.testing.assert_array_equal(early.mean, module.running_mean.double().numpy())
    np.testing.assert_array_equal(early.variance, module.running_var.double().numpy())
    np.testing.assert_array_equal(late.gamma, np.ones(4))
    np.testing.assert_array_equal(late.beta, np.zeros(4))
    assert [layer.name for layer in graph.normalization] == [layer.name for layer in graph.layers]


def test_folded_weights_are_computed_in_float64_and_rounded_once(network: nn.Module, graph: FoldedGraph) -> None:
    plain, layer = parameters(network), "conv_and_early.1"

    found = weights(graph)

    scale = plain[f"{layer}.weight"] / np.sqrt(plain[f"{layer}.running_var"] + 1e-5)
    weight = plain["conv_and_early.0.weight"] * scale[:, None, None, None]
    bias = (plain["conv_and_early.0.bias"] - plain[f"{layer}.running_mean"]) * scale + plain[f"{layer}.bias"]
    np.testing.assert_array_max_ulp(found["conv_and_early.0.weight"], weight.astype(np.float32), maxulp=1)
    np.testing.assert_array_max_ulp(found["conv_and_early.0.bias"], bias.astype(np.float32), maxulp=1)


def test_the_graph_is_valid_onnx(graph: FoldedGraph) -> None:
    model = onnx.load_from_string(graph.model)

    onnx.checker.check_model(model, full_check=True)

    assert {imported.domain for imported in model.opset_import} == {""}


def test_the_same_network_gives_the_same_bytes(network: nn.Module, graph: FoldedGraph) -> None:
    again = export(network, normal_rows(5, 3, 6, 6, seed=9))

    assert again.model == graph.model


def test_an_export_changes_neither_the_network_nor_the_disk(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    monkeypatch.chdir(tmp_path)

    export(network, normal_rows(2, 3, 6, 6))

    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert list(tmp_path.iterdir()) == []


def test_a_network_may_have_several_inputs_and_outputs() -> None:
    lookup = build(Lookup)
    rows = (normal_rows(7, 2, 3), torch.arange(7) % 5)

    graph = export(lookup, *rows, outputs=["vector", "largest"])

    found = run_graph(graph, *rows)
    with torch.no_grad():
        vector, largest = lookup(*rows)
    assert [(t.name, t.datatype, t.shape) for t in graph.inputs] == [
        ("image", "FP32", (-1, 2, 3)),
        ("number", "INT64", (-1,)),
    ]
    assert [(t.name, t.datatype, t.shape) for t in graph.outputs] == [
        ("vector", "FP32", (-1, 4)),
        ("largest", "INT64", (-1,)),
    ]
    assert relative_error(found["vector"], vector.numpy()) <= TOLERANCE
    np.testing.assert_array_equal(found["largest"], largest.numpy())


def folded(network: nn.Module, example: ExampleInputs) -> FoldedGraph:
    """The folded graph of a network that is called with any example."""
    signature, tensors = read_signature(network, example)
    return fold_network(network, signature, tensors, mode="fast", allow_untrained=True)


def test_tensors_in_dictionaries_are_named_by_their_keys() -> None:
    network = build(ByName)
    batch = {"left": normal_rows(5, 6), "right": normal_rows(5, 4)}
    bias = normal_rows(5, 4, seed=3)

    graph = folded(network, {"batch": batch, "bias": bias})

    found = run_graph(graph, batch["left"], batch["right"], bias)
    with torch.no_grad():
        expected = network(batch, bias=bias)
    assert [tensor.name for tensor in graph.inputs] == ["batch.left", "batch.right", "bias"]
    assert [tensor.name for tensor in graph.outputs] == ["vector", "total"]
    assert {name: relative_error(found[name], expected[name].numpy()) <= TOLERANCE for name in expected} == {
        "vector": True,
        "total": True,
    }


def test_nested_outputs_are_named_by_where_they_are_in_the_order_in_which_they_come() -> None:
    network = build(
        lambda: nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), Forward(lambda _, y: ((y, {"twice": 2 * y}), [y + 1, y - 1]))
        )
    )
    rows = normal_rows(3, 3)

    graph = folded(network, rows)

    found = run_graph(graph, rows)
    with torch.no_grad():
        (y, doubled), (more, less) = network(rows)
    expected = {"output_0.0": y, "output_0.1.twice": doubled["twice"], "output_1.0": more, "output_1.1": less}
    assert [tensor.name for tensor in graph.outputs] == list(expected)
    assert max(relative_error(found[name], tensor.numpy()) for name, tensor in expected.items()) <= TOLERANCE


def test_tensors_without_names_are_named_after_parameters_and_places() -> None:
    network = build(Lookup)

    graph = folded(network, (normal_rows(2, 2, 3), torch.tensor([1, 2])))

    assert [tensor.name for tensor in graph.inputs] == ["image", "number"]
    assert [tensor.name for tensor in graph.outputs] == ["output_0", "output_1"]


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ((), "expected at least one tensor"),
        ([torch.zeros(2, 3)], "expected a tensor, a tuple of arguments or a dictionary of them, got list"),
        ((torch.zeros(2, 3), 1.5), r"input_1: expected a tensor, got float"),
        ((torch.tensor(1.0),), r"input: expected at least two rows in every input, got shape \(\)"),
        ((torch.zeros(2, 9),), "network: expected to take the example: mat1 and mat2"),
    ],
    ids=["nothing", "a list", "a number", "a scalar", "another shape"],
)
def test_an_example_that_can_t_be_taken_is_refused_in_one_sentence(example: ExampleInputs, sentence: str) -> None:
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))

    with pytest.raises(ExportError, match=sentence):
        folded(network, example)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda _, y: (y, 1.5), "network: expected tensors alone as outputs, got float"),
        (lambda _, y: y.sum(), r"output: expected a first axis that varies with the rows, got shape \[\]"),
        (lambda _, y: y.mean(dim=0), r"output: expected a first axis that varies with the rows, got shape \[4\]"),
    ],
    ids=["a number", "one number for all rows", "one vector for all rows"],
)
def test_outputs_that_can_t_be_served_are_refused_by_name(function: Any, sentence: str) -> None:  # noqa: ANN401
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Forward(function)))

    with pytest.raises((ExportError, TensorError), match=sentence):
        folded(network, normal_rows(2, 3))


@pytest.mark.parametrize("names", [["a"], ["a", "a"]], ids=["too few", "one twice"])
def test_names_that_do_not_fit_the_tensors_are_refused(names: list[str]) -> None:
    network = build(Lookup)

    with pytest.raises(ExportError, match=r"^input_names: expected "):
        read_signature(network, (normal_rows(2, 2, 3), torch.tensor([1, 2])), input_names=names)


def test_statistics_that_no_data_has_updated_are_refused_by_layer() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    signature, tensors = read_signature(network, normal_rows(2, 3))

    with pytest.raises(FoldingError, match=r"^1: expected statistics that data has updated, got those of a new layer"):
        fold_network(network, signature, tensors, mode="fast")


def test_outputs_keep_the_names_that_clients_use_even_if_they_are_one_tensor() -> None:
    twice = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Forward(lambda _, y: (y, y))))

    graph = export(twice, normal_rows(2, 3), outputs=["logits", "scores"])

    assert [tensor.name for tensor in graph.outputs] == ["logits", "scores"]


def test_a_network_in_training_mode_is_refused() -> None:
    training = build(convnet).train()

    with pytest.raises(ExportError, match="expected inference mode, got training mode"):
        export(training, normal_rows(2, 3, 6, 6))


@pytest.mark.parametrize("part", ["norm", "dropout"])
def test_a_part_in_training_mode_is_refused_by_name(part: str) -> None:
    partly = build(
        lambda: Forward(
            lambda net, x: net.dropout(net.norm(net.linear(x))),
            linear=nn.Linear(3, 4),
            norm=nn.BatchNorm1d(4),
            dropout=nn.Dropout(),
        )
    )
    partly.get_submodule(part).train()

    with pytest.raises(ExportError, match=rf"^{part}: expected inference mode, got training mode"):
        export(partly, normal_rows(2, 3))


@pytest.mark.parametrize("count", [0, 1])
def test_an_example_of_fewer_than_two_rows_is_refused(network: nn.Module, count: int) -> None:
    with pytest.raises(ExportError, match=r"expected (at least two rows in every input|to take the example)"):
        export(network, normal_rows(count, 3, 6, 6))


def test_a_network_that_can_t_be_traced_is_refused_in_one_plain_sentence() -> None:
    branching = build(lambda: Forward(lambda net, x: net.norm(x) if x.sum() > 0 else x, norm=nn.BatchNorm1d(3)))

    with pytest.raises(ExportError) as refusal:
        export(branching, normal_rows(2, 3))

    sentence = str(refusal.value)
    assert sentence.startswith("network: expected a module that torch.export can trace: ")
    assert "\x1b" not in sentence
    assert len(sentence.splitlines()) == 1
    assert "data-dependent" in sentence  # torch's own word for it


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("running_mean", float("nan")),
        ("running_var", float("inf")),
        ("running_var", -1.0),
        ("weight", float("nan")),
        ("bias", float("-inf")),
    ],
)
def test_figures_that_are_no_statistics_are_refused_by_layer_and_field(field: str, value: float) -> None:
    broken = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    getattr(broken.get_submodule("1"), field).data[2] = value

    with pytest.raises(TrainingError, match=rf"^1\.{field}: expected "):
        export(broken, normal_rows(2, 3))


def test_a_variance_that_eps_does_not_lift_above_zero_is_refused() -> None:
    flat = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, eps=0.0)))
    normalization_layers(flat)["1"].running_var = torch.tensor([1.0, 0.0, 1.0, 1.0])

    with pytest.raises(TrainingError, match=r"^1\.eps: expected running_var \+ eps above 0"):
        export(flat, normal_rows(2, 3))


def test_a_datatype_that_can_t_be_served_is_refused_by_tensor() -> None:
    odd = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Forward(lambda _, y: y.bfloat16())))

    with pytest.raises(TensorError, match=rf"^{OUTPUT}: expected a datatype that can be served, got BFLOAT16$"):
        export(odd, normal_rows(2, 3))
