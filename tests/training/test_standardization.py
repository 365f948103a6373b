import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from folding.verify import verify
from models.bundle import Bundle
from models.store import Store
from tests.training.examples import INPUT, OUTPUT, answers, build, export, normal_rows, run_job, short_recipe
from training.errors import DataError
from training.networks.mlp import MLP
from training.normalization import normalization_layers, read_layer
from training.population import estimate_population_statistics
from training.references import TorchReference
from training.standardization import place_standardization, standardize
from training.tracing import read_signature
from training.verify_bundle import verify_bundle

COLUMNS = ("income", "leak", "year")


def rows(count: int = 300) -> Tensor:
    """Columns of very different units: the mean of the first is 1,000 deviations from 0, that of the last 400."""
    return normal_rows(count, 3) * torch.tensor([1e3, 1e-9, 5.0]) + torch.tensor([1e6, 0.0, 2000.0])


def mlp() -> MLP:
    network = build(lambda: MLP(3, 2, widths=(8,)))
    assert isinstance(network, MLP)
    return network


def batches(values: Tensor) -> list[Tensor]:
    return list(torch.split(values, 64))


def test_a_standardized_network_is_the_network_on_standardized_rows() -> None:
    values = rows()
    network = mlp()
    standardized = copy.deepcopy(network)

    standardize(standardized, batches(values))

    exact = values.double()
    scaled = (exact - exact.mean(dim=0)) / exact.std(dim=0, correction=0)
    # eps changes a deviation by 2^-21, and float32 holds the first column to 1e-4 of a deviation
    np.testing.assert_allclose(answers(standardized, values), answers(network, scaled.float()), atol=1e-4)


def test_the_record_says_what_is_applied() -> None:
    values = rows()

    record = standardize(mlp(), batches(values), COLUMNS)

    exact = values.double()
    assert record.columns == COLUMNS
    np.testing.assert_allclose(record.mean, exact.mean(dim=0), rtol=1e-12, atol=1e-22)
    np.testing.assert_allclose(record.deviation, exact.std(dim=0, correction=0), rtol=1e-12)
    assert record.eps <= 1e-6 * min(record.deviation) ** 2
    assert record.offset is not None
    assert [offset != 0 for offset in record.offset] == [True, False, True]


def test_nothing_is_subtracted_where_every_mean_is_near() -> None:
    record = standardize(mlp(), batches(normal_rows(50, 3)))

    assert record.offset is None


def test_images_are_standardized_by_channel() -> None:
    network = build(lambda: MLP(2 * 4 * 4, 2, widths=(8,)))
    values = normal_rows(40, 2, 4, 4) + 3

    record = standardize(network, batches(values))

    assert len(record.mean) == 2
    np.testing.assert_allclose(record.mean, values.double().mean(dim=(0, 2, 3)), rtol=1e-12)


def test_training_leaves_the_statistics_alone() -> None:
    network = mlp()
    standardize(network, batches(rows()))
    before = read_layer("standardization", normalization_layers(network)["standardization"])

    network.train()
    network(rows() + 100)

    after = read_layer("standardization", normalization_layers(network)["standardization"])
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.variance, before.variance)


def test_estimating_all_statistics_gives_the_same_figures() -> None:
    network, values = mlp(), batches(rows())
    standardize(network, values)
    before = read_layer("standardization", normalization_layers(network)["standardization"])

    estimate_population_statistics(network, values)

    after = read_layer("standardization", normalization_layers(network)["standardization"])
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.variance, before.variance)


def test_a_copy_has_a_standardization_of_its_own() -> None:
    network = mlp()
    standardize(network, batches(rows()))
    before = answers(network, rows(4))

    copied = copy.deepcopy(network)
    copied.get_submodule("standardization").get_buffer("running_mean").add_(1e6)

    np.testing.assert_array_equal(answers(network, rows(4)), before)
    assert not np.array_equal(answers(copied, rows(4)), before)


def test_a_network_that_is_called_by_name_is_standardized_too() -> None:
    network = mlp()
    standardize(network, batches(rows()))

    with torch.no_grad():
        by_name = network(image=rows(4))

    np.testing.assert_array_equal(by_name.numpy(), answers(network, rows(4)))


def test_it_is_folded_into_the_first_layer_without_loss() -> None:
    values = rows()
    network = mlp()
    standardize(network, batches(values))

    graph = export(network, values)

    placements = {layer.name: (layer.placement, layer.into) for layer in graph.layers}
    signature, _ = read_signature(network, (values[:2],), input_names=[INPUT], output_names=[OUTPUT])
    record = verify(TorchReference(network, signature), graph, [values.numpy()], real=True, seed=0)
    assert placements["standardization"] == ("folded-forward", "hidden.0")
    (real,) = [check for check in record.checks if check.rows == "real"]
    assert max(agreement.max_relative_error for agreement in real.outputs) <= 1e-5


def test_the_same_parts_take_the_same_parameters() -> None:
    network, rebuilt = mlp(), mlp()
    record = standardize(network, batches(rows()))

    place_standardization(rebuilt, record)
    rebuilt.load_state_dict(network.state_dict())

    np.testing.assert_array_equal(answers(rebuilt, rows(4)), answers(network, rows(4)))


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (torch.full((100,), 3.0), r"expected values that differ among the training rows, got 3 in all of them; leave"),
        (torch.arange(100) * 1e-20, r"expected a deviation from 1e-15 to 1e\+15, got [^ ]+; give it in another unit"),
        (torch.arange(100) * 1e20, r"expected a deviation from 1e-15 to 1e\+15, got [^ ]+; give it in another unit"),
        (
            1.7e9 + torch.arange(100) * 4.0,
            r"expected values that float32 can tell apart, got .*; subtract",
        ),
    ],
    ids=["constant", "tiny", "huge", "seconds since 1970"],
)
def test_a_column_that_float32_can_t_standardize_is_refused_by_name(column: Tensor, problem: str) -> None:
    values = torch.stack([torch.arange(100.0), column, torch.arange(100.0)], dim=1)

    with pytest.raises(DataError, match=rf"^data: column 'leak': {problem}"):
        standardize(mlp(), batches(values), COLUMNS)


@pytest.fixture(scope="module")
def table_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What a fit to a CSV file gives, of which a mean is far from 0."""
    folder = tmp_path_factory.mktemp("table")
    lines = [f"{a:.9g},{b:.9g},{c:.9g},{'up' if a > 1e6 else 'down'}" for a, b, c in rows(120).tolist()]
    (folder / "data.csv").write_text("\n".join([",".join((*COLUMNS, "trend")), *lines]))
    changes = ("epochs=1", "data={format: csv, label: trend}", f"data.file={folder / 'data.csv'}")
    arguments = "arguments={in_features: 3, num_classes: 2, widths: [8]}"
    return run_job(short_recipe(*changes, arguments, "name=table"), Store(folder / "store"))


def test_a_table_is_standardized_and_the_manifest_says_how(table_bundle: Bundle) -> None:
    training = table_bundle.manifest.training

    assert training is not None
    assert training.standardization is not None
    assert training.standardization.columns == COLUMNS
    assert training.data.rows == {"train": 96, "validation": 12, "test": 12}
    assert table_bundle.manifest.labels == ("down", "up")
    assert [(each.name, each.shape) for each in table_bundle.manifest.inputs] == [("values", (-1, 3))]


def test_a_bundle_with_a_standardization_is_verified_again(table_bundle: Bundle) -> None:
    record = verify_bundle(table_bundle)

    assert "standardization" in {agreement.name for check in record.checks for agreement in check.taps}
