import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from folding.errors import VerificationError
from folding.proof import SAMPLE_ROWS
from folding.verify import OUTPUT_TOLERANCE
from models.bundle import (
    ATOMS_FILE,
    CALIBRATION_FILE,
    MODEL_FILE,
    NORMALIZATION_FILE,
    PARAMETERS_FILE,
    PROBE_FILE,
    SAMPLE_FILE,
    UNFOLDED_FILE,
    Bundle,
)
from models.errors import StoreError
from models.health import health_flags
from models.manifest import NetworkRecord
from models.store import Store
from tests.committed import BUNDLES
from tests.damage import replace_arrays
from tests.drafts import draft
from tests.training.examples import run_job, short_recipe
from training.data import Rows
from training.data.digits import Digits
from training.errors import RecipeError
from training.networks import NETWORKS, build_network
from training.networks.mlp import MLP
from training.normalization import normalization_layers
from training.population import estimate_population_statistics
from training.recipe import Recipe
from training.verify_bundle import verify_bundle


class Liar(MLP):
    """Computes another function once it is exported."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits that only torch itself gets right."""
        logits = super().forward(image)
        return 1.01 * logits if torch.onnx.is_in_onnx_export() else logits


class Slow(MLP):
    """Its moving averages take a thousand batches to forget what they started with."""

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        for layer in normalization_layers(self).values():
            layer.momentum = 0.001


def accuracy(bundle: Bundle, rows: Rows) -> float:
    """Share of rows that the bundle's graph, run by itself, answers right."""
    session = onnxruntime.InferenceSession(bundle.model_path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": rows.values.numpy()})
    right = [int(answer.argmax()) == int(label) for answer, label in zip(logits, rows.labels, strict=True)]
    return sum(right) / len(right)


def rebuilt(bundle: Bundle) -> nn.Module:
    """The bundle's network, from its own parameters."""
    network = build_network(bundle.manifest.network.name, bundle.manifest.network.arguments)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in bundle.parameters().items()})
    return network.eval()


def contents(bundle: Bundle) -> dict[str, bytes]:
    """Every file but the manifest, which says when it was made."""
    return {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}


def test_a_job_publishes_a_bundle_that_opens(short_store: Store) -> None:
    bundle = short_store.open("digits-mlp", 1)

    manifest = bundle.manifest
    assert set(manifest.files) == {
        *(MODEL_FILE, UNFOLDED_FILE, NORMALIZATION_FILE, SAMPLE_FILE, PARAMETERS_FILE),
        *(PROBE_FILE, ATOMS_FILE, CALIBRATION_FILE),
    }
    assert [(layer.name, layer.placement, layer.into) for layer in manifest.layers] == [
        ("hidden.1", "folded-backward", "hidden.0"),
        ("hidden.4", "folded-backward", "hidden.3"),
    ]
    assert manifest.labels == tuple("0123456789")
    assert [(tensor.name, tensor.shape) for tensor in manifest.inputs] == [("image", (-1, 1, 8, 8))]
    assert [(tensor.name, tensor.shape) for tensor in manifest.outputs] == [("logits", (-1, 10))]


def test_the_manifest_says_how_the_model_was_made(short: Bundle) -> None:
    training = short.manifest.training

    assert training is not None
    assert Recipe.model_validate(training.recipe) == short_recipe()
    assert training.data == Digits().load().record()
    assert training.rows == training.data.rows["train"]
    assert training.seconds > 0
    assert training.libraries["torch"] == torch.__version__
    assert short.manifest.network == NetworkRecord(
        name="mlp",
        arguments=short_recipe().arguments,
        parameters=sum(parameter.numel() for parameter in rebuilt(short).parameters()),
    )


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_accuracies_are_those_of_the_published_graph(short: Bundle, split: str) -> None:
    rows: Rows = getattr(Digits().load(), split)

    measured = accuracy(short, rows)

    assert short.manifest.training is not None
    assert short.manifest.training.metrics[f"{split}_accuracy"] == measured


def test_the_sample_is_real_rows_and_the_network_s_answers(short: Bundle) -> None:
    sample = short.sample()

    with torch.no_grad():
        answers = rebuilt(short)(torch.from_numpy(sample.inputs["image"])).numpy()
    test = Digits().load().test.values.numpy()
    np.testing.assert_array_equal(sample.inputs["image"], test[: len(sample.inputs["image"])])
    np.testing.assert_array_equal(sample.outputs["logits"], answers)


def test_it_is_verified_and_calibrated_with_all_rows_that_were_held_out(short: Bundle) -> None:
    data, calibration = Digits().load(), short.calibration()

    held_out = len(data.test.values) + len(data.validation.values)
    assert [check.num_rows for check in short.manifest.verification.checks if check.rows == "real"] == [held_out]
    assert calibration is not None
    assert calibration.rows == held_out


def test_the_published_statistics_are_those_of_all_training_rows(short: Bundle) -> None:
    network = rebuilt(short)

    estimate_population_statistics(network, [Digits().load().train.values])

    layers = normalization_layers(network)
    for layer in short.normalization():
        module = layers[layer.name]
        assert module.running_mean is not None
        assert module.running_var is not None
        # all rows in one batch instead of three: torch sums at most 64 products in another order, two layers deep
        shift = (module.running_mean.double().numpy() - layer.mean) / layer.deviation
        np.testing.assert_allclose(shift, 0, atol=1e-5)
        np.testing.assert_allclose(module.running_var.double().numpy(), layer.variance, rtol=1e-5)


def test_what_the_fit_left_is_kept_beside_the_statistics_of_all_rows(short: Bundle) -> None:
    """Batches of 64 rows or fewer have another variance by Bessel's correction alone."""
    averages = short.moving_averages()

    assert set(averages) == {layer.name for layer in short.normalization()}
    for layer in short.normalization():
        distance = averages[layer.name].distance(layer)
        assert (distance.shift != 0).any()
        assert (distance.ratio != 1).any()


def test_a_short_fit_at_a_low_momentum_leaves_averages_of_which_the_report_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "slow", Slow)
    bundle = run_job(short_recipe("network=slow", "epochs=1"), Store(tmp_path))
    averages = bundle.moving_averages()

    flags = [
        flag.flag
        for layer in bundle.normalization()
        for flag in health_flags(layer, num_batches_tracked=18, moving_average=averages[layer.name])
    ]

    assert flags == ["stale-moving-average"] * len(bundle.normalization())


def test_the_published_parameters_are_those_of_the_normalization_archive(short: Bundle) -> None:
    parameters = short.parameters()

    for layer in short.normalization():
        np.testing.assert_array_equal(parameters[f"{layer.name}.weight"], layer.gamma)
        np.testing.assert_array_equal(parameters[f"{layer.name}.bias"], layer.beta)
        np.testing.assert_array_equal(parameters[f"{layer.name}.running_mean"], layer.mean)
        np.testing.assert_array_equal(parameters[f"{layer.name}.running_var"], layer.variance)


def test_the_same_recipe_gives_the_same_bytes(short: Bundle, tmp_path: Path) -> None:
    again = run_job(short_recipe(), Store(tmp_path))

    assert contents(again) == contents(short)


def test_another_seed_gives_another_model(short: Bundle, tmp_path: Path) -> None:
    other = run_job(short_recipe("seed=2"), Store(tmp_path))

    ours, theirs = contents(short), contents(other)
    # a probe holds none of the weights that it is run with, and atoms are of the data
    assert {name for name in ours if ours[name] == theirs[name]} == {PROBE_FILE, ATOMS_FILE}


def test_a_job_whose_graph_disagrees_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "liar", Liar)
    store = Store(tmp_path / "store")

    with pytest.raises(VerificationError, match=r"^logits: on random rows the folded graph is 0\.01 off"):
        run_job(short_recipe("network=liar", "epochs=1"), store)

    assert list(tmp_path.rglob("*")) == []


def test_a_job_that_can_t_publish_says_so(tmp_path: Path) -> None:
    occupied = tmp_path / "store"
    occupied.write_text("no folder")

    with pytest.raises(StoreError, match="expected a folder that can be"):
        run_job(short_recipe("epochs=1"), Store(occupied))

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_published_bundle_can_be_verified_again(short: Bundle) -> None:
    record = verify_bundle(short)

    assert [(check.rows, check.num_rows) for check in record.checks] == [("random", 64), ("real", SAMPLE_ROWS)]
    assert {agreement.name for check in record.checks for agreement in check.taps} == {"hidden.1", "hidden.4"}
    errors = [a.max_relative_error for check in record.checks for a in (*check.outputs, *check.taps)]
    assert max(errors) <= OUTPUT_TOLERANCE


def test_the_graph_of_another_network_is_not_verified(short: Bundle, tmp_path: Path) -> None:
    path = Path(shutil.copytree(short.path, tmp_path / "1"))
    replace_arrays(
        path, PARAMETERS_FILE, lambda arrays: np.add(arrays["hidden.3.weight"], 0.01, out=arrays["hidden.3.weight"])
    )

    with pytest.raises(VerificationError, match=r"^logits: on random rows"):
        verify_bundle(Bundle.open(path))


@pytest.mark.parametrize(
    "network",
    [
        NetworkRecord(name="transformer", arguments={}, parameters=1),
        NetworkRecord(name="mlp", arguments={"depth": 3}, parameters=1),
        NetworkRecord(name="mlp", arguments={"in_features": 4}, parameters=1),
        NetworkRecord(name="mlp", arguments={"widths": [-1]}, parameters=1),
    ],
    ids=["unknown", "other arguments", "other parameters", "arguments that make no network"],
)
def test_a_network_that_can_t_be_built_here_is_refused_in_one_line(tmp_path: Path, network: NetworkRecord) -> None:
    bundle = Store(tmp_path).publish(draft(network=network))

    with pytest.raises(RecipeError, match=rf"^network(:| {network.name}:) [^\n]+$"):
        verify_bundle(bundle)


def test_the_committed_recipe_reaches_its_accuracy_and_every_layer_is_folded(digits: Bundle) -> None:
    """One test: two might be taken by two processes, and the recipe be fitted twice."""
    rows = Digits().load().test

    measured = accuracy(digits, rows)

    assert measured >= 0.98
    assert [layer.placement for layer in digits.manifest.layers] == ["folded-backward"] * 4


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_a_committed_bundle_opens_and_verifies(path: Path) -> None:
    bundle = Store(path.parents[1]).open(path.parent.name, int(path.name))

    record = verify_bundle(bundle)

    errors = [a.max_relative_error for check in record.checks for a in (*check.outputs, *check.taps)]
    assert max(errors) <= OUTPUT_TOLERANCE


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_a_committed_bundle_is_as_good_as_it_says(path: Path) -> None:
    bundle = Bundle.open(path)

    measured = accuracy(bundle, Digits().load().test)

    assert bundle.manifest.training is not None
    # another processor may round a logit the other way, and turn one of the 300 rows
    assert abs(measured - bundle.manifest.training.metrics["test_accuracy"]) <= 1 / 300
    assert measured >= 0.975
