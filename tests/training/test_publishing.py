"""One's own network through the one call: what is published."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from folding.calibration import FEWEST_ROWS
from folding.observing import observe
from folding.proof import SAMPLE_ROWS
from models.bundle import Bundle
from models.manifest import NetworkRecord
from models.stacked_moments import StackedMoments
from models.store import Store
from tests.training.examples import TOLERANCE, answers, build, normal_rows, relative_error
from training import export


class Fusion(nn.Module):
    """Takes an image and a dictionary, gives a dictionary in which a name of the input comes again."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.side = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))

    def forward(self, image: Tensor, side: dict[str, Tensor]) -> dict[str, Tensor]:
        """Both together, and one of them."""
        pooled = self.image(image).mean((2, 3))
        return {"image": pooled, "both": pooled + self.side(side["left"]) * side["right"][:, None]}


class WithNotes(nn.Linear):
    """Keeps more than tensors in its state."""

    def get_extra_state(self) -> dict[str, str]:
        """No tensor."""
        return {"note": "for later"}

    def set_extra_state(self, state: object) -> None:
        """Nothing to do."""


def small() -> nn.Module:
    """Two normalization layers of which the second can't be folded fast: its output is the network's."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten()
    )


def sequence() -> nn.Module:
    """A linear and a normalization layer, from 6 features to 4."""
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))


def node_kinds(graph: bytes) -> list[str]:
    """The operators of a graph."""
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build(small)


@pytest.fixture(scope="module")
def bundle(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The network as it is published without real rows."""
    return export(network, normal_rows(2, 3, 8, 8), store=tmp_path_factory.mktemp("store"), name="mine")


def test_what_is_published_opens_and_describes_the_network(network: nn.Module, bundle: Bundle) -> None:
    manifest = Bundle.open(bundle.path).manifest

    assert (manifest.name, manifest.version, manifest.training, manifest.labels) == ("mine", 1, None, None)
    assert [(t.name, t.datatype, t.shape) for t in manifest.inputs] == [("input", "FP32", (-1, 3, 8, 8))]
    assert [(t.name, t.datatype, t.shape) for t in manifest.outputs] == [("output", "FP32", (-1, 36))]
    assert [(layer.name, layer.kind, layer.placement, layer.into) for layer in manifest.layers] == [
        ("1", "BatchNorm2d", "folded-backward", "0"),
        ("3", "BatchNorm2d", "kept", None),
    ]
    assert manifest.network == NetworkRecord(
        name="torch.nn.modules.container:Sequential",
        arguments={},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def test_the_sample_is_answered_by_the_network(network: nn.Module, bundle: Bundle) -> None:
    sample = bundle.sample()

    expected = answers(network, torch.from_numpy(sample.inputs["input"]))
    assert len(expected) == SAMPLE_ROWS
    np.testing.assert_array_equal(sample.outputs["output"], expected)


def test_without_rows_it_is_verified_on_random_ones_alone(bundle: Bundle) -> None:
    (check,) = bundle.manifest.verification.checks

    assert check.rows == "random"
    assert [agreement.name for agreement in check.outputs] == ["output"]
    assert [agreement.name for agreement in check.taps] == ["1", "3"]
    assert max(a.max_relative_error for a in (*check.outputs, *check.taps)) <= TOLERANCE


def test_without_rows_its_layers_are_observed_and_not_scored(bundle: Bundle) -> None:
    """Random rows say what a probe needs to know, but not what scores of real ones are like."""
    assert bundle.observing_graph() is not None
    assert bundle.calibration() is None


def test_enough_real_rows_calibrate_the_scores(network: nn.Module, store: Store) -> None:
    """As rows that were held out."""
    rows = normal_rows(FEWEST_ROWS, 3, 8, 8)

    bundle = export(network, rows[:2], store=store, name="mine", rows=rows)

    columns, calibration, graph = bundle.columns(), bundle.calibration(), bundle.observing_graph()
    assert columns is not None
    assert calibration is not None
    assert graph is not None
    (found,) = observe(graph, b"", columns, [rows.numpy()])
    scores = calibration.scores(StackedMoments.of(found), columns)
    # the whole of the rows is at no distance from itself
    assert calibration.rows == FEWEST_ROWS
    assert (scores < 0).all()


def test_the_folding_record_counts_the_nodes_before_and_after(bundle: Bundle) -> None:
    folding = bundle.manifest.folding

    modules = 6  # of which each is one node
    assert (folding.mode, folding.before.nodes, folding.before.normalization_nodes) == ("fast", modules, 2)
    kinds = node_kinds(bundle.model_path.read_bytes())
    assert sorted(kinds) == ["BatchNormalization", "Conv", "MaxPool", "Relu", "Reshape"]
    assert (folding.after.nodes, folding.after.normalization_nodes) == (5, 1)
    assert folding.after.bytes == bundle.model_path.stat().st_size
    assert folding.speedup > 0
    assert folding.warnings == ()


def test_complete_leaves_no_normalization_node(network: nn.Module, store: Store) -> None:
    bundle = export(network, normal_rows(2, 3, 8, 8), store=store, name="mine", fold="complete")

    folding = bundle.manifest.folding
    assert "BatchNormalization" not in node_kinds(bundle.model_path.read_bytes())
    assert (folding.mode, folding.before.normalization_nodes, folding.after.normalization_nodes) == ("complete", 2, 0)


def test_the_parameters_are_the_networks_state(network: nn.Module, bundle: Bundle) -> None:
    found = bundle.parameters()

    state = network.state_dict()
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_exporting_again_publishes_the_next_version_in_a_store_or_its_path(
    store: Store,
) -> None:
    first = export(build(sequence), normal_rows(2, 6), store=str(store.root), name="mine")

    second = export(build(sequence), normal_rows(2, 6), store=store, name="mine")

    assert [bundle.path for bundle in (first, second)] == [store.root / "mine" / version for version in ("1", "2")]
    assert store.versions("mine") == [1, 2]
    assert first.model_path.read_bytes() == second.model_path.read_bytes()


def test_several_inputs_in_dictionaries_and_several_outputs_are_published_by_name(store: Store) -> None:
    network = build(Fusion)
    example = {"image": normal_rows(2, 3, 6, 6), "side": {"left": normal_rows(2, 5), "right": normal_rows(2)}}

    bundle = export(network, example, store=store, name="mine")

    sample = bundle.sample()
    taken = {name: torch.from_numpy(array) for name, array in sample.inputs.items()}
    with torch.no_grad():
        given = network(taken["image"], {"left": taken["side.left"], "right": taken["side.right"]})
    assert [(t.name, t.shape) for t in bundle.manifest.inputs] == [
        ("image", (-1, 3, 6, 6)),
        ("side.left", (-1, 5)),
        ("side.right", (-1,)),
    ]
    # ONNX has one name for one tensor: the second of that name is told apart
    assert [(t.name, t.shape) for t in bundle.manifest.outputs] == [("image.output", (-1, 4)), ("both", (-1, 4))]
    np.testing.assert_array_equal(sample.outputs["both"], given["both"].numpy())
    columns, graph = bundle.columns(), bundle.observing_graph()
    assert columns is not None
    assert graph is not None
    (found,) = observe(graph, b"", columns, list(sample.inputs.values()))
    assert (len(found), found.means.shape[1]) == (len(sample.inputs["image"]), 4 + 4)
    np.testing.assert_array_equal(sample.outputs["image.output"], given["image"].numpy())


def test_names_of_the_graphs_own_tensors_are_free_for_inputs_and_outputs(store: Store) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6))
            self.features = sequence()

        def forward(self, weight: Tensor) -> dict[str, Tensor]:
            normalized = self.features(weight * self.weight)
            return {"linear": normalized.relu(), "mul": normalized}

    network = build(Named)

    bundle = export(network, normal_rows(2, 6), store=store, name="mine")

    sample = bundle.sample()
    with torch.no_grad():
        given = network(torch.from_numpy(sample.inputs["weight"]))
    assert {name: relative_error(sample.outputs[name], given[name].numpy()) for name in given} == {
        "linear": 0,
        "mul": 0,
    }


def test_a_network_with_a_list_of_arguments_is_taken(store: Store) -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = sequence()

        def forward(self, *rows: Tensor) -> Tensor:
            output: Tensor = self.features(rows[0]) + rows[1]
            return output

    bundle = export(build(Listed), (normal_rows(2, 6), normal_rows(2, 4)), store=store, name="mine")

    assert [(t.name, t.shape) for t in bundle.manifest.inputs] == [("input_0", (-1, 6)), ("input_1", (-1, 4))]


def test_state_that_is_no_tensor_is_left_out(store: Store) -> None:
    network = build(lambda: nn.Sequential(WithNotes(6, 4), nn.BatchNorm1d(4)))

    bundle = export(network, normal_rows(2, 6), store=store, name="mine")

    assert network.state_dict().keys() - bundle.parameters().keys() == {"0._extra_state"}


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_an_example_that_says_nothing_of_rows_is_verified_with_normal_ones(value: float, store: Store) -> None:
    bundle = export(build(sequence), torch.full((2, 6), value), store=store, name="mine")

    rows = bundle.sample().inputs["input"]
    # 96 values of mean 0 and deviation 1: both estimates are off by less than 0.5, five standard errors
    assert abs(rows.mean()) < 0.5
    assert abs(rows.std() - 1) < 0.5
    assert len(np.unique(rows)) == rows.size
