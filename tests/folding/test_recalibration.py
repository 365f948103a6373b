"""Recalibration is what torch makes of the same rows, folded, proved and told."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from folding.observing import observe
from folding.recalibration import Recalibrated, recalibrate
from models.bundle import Bundle
from models.manifest import FoldMode
from models.stacked_moments import StackedMoments
from models.store import Store
from tests.folding.reestimation import reestimated
from tests.folding.whole_networks import FOLDED
from tests.training.examples import Forward, answers, build, normal_rows, relative_error
from tests.training.networks.small import images, small_network
from tests.training.onnx_files import run_file
from training import export
from training.publishing import describe

TOLERANCE = 1e-4
"""Of the largest value: torch and ONNX Runtime add up a batch in another order, each in float32."""

ROWS = 48


def network(name: str) -> nn.Module:
    """A small network of the library, its normalization parameters and statistics random."""
    made = build(lambda: small_network(name))
    for parameter in made.parameters():
        parameter.data = parameter.data.clamp(-1, 1)
    return made


def shifted(rows: int = ROWS) -> Tensor:
    """Images of another brightness and contrast than those that networks here are published with."""
    return 1.7 * images(rows, seed=7) + 0.4


def publish(made: nn.Module, folder: Path, *, mode: FoldMode = "fast", rows: Tensor | None = None) -> Bundle:
    real = images(20) if rows is None else rows
    return export(made, real[:2], store=folder, name="model", fold=mode, rows=real)


class Library:
    """Networks of the library as bundles, each published once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, name: str, mode: FoldMode, folder: Path) -> Bundle:
        """A store of one's own with a network's bundle."""
        store = self._folder / f"{name}-{mode}"
        if not store.exists():
            publish(network(name), store, mode=mode)
        return Store(Path(shutil.copytree(store, folder, dirs_exist_ok=True))).open("model", 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("library"))


def recalibrated(bundle: Bundle, rows: Tensor, **options: int) -> Recalibrated:
    """By force, since what networks with random weights predict says nothing."""
    return recalibrate(bundle, {bundle.manifest.inputs[0].name: rows.numpy()}, force=True, **options)  # type: ignore[arg-type]


def published(made: Recalibrated, folder: Path) -> Bundle:
    return Store(folder).publish_candidate(made.draft)


def assert_statistics(bundle: Bundle, expected: nn.Module) -> None:
    """Assert that a bundle keeps a network's statistics, in units of their deviations and variances."""
    for layer in bundle.normalization():
        module = expected.get_submodule(layer.name)
        mean, variance = (module.get_buffer(name).double().numpy() for name in ("running_mean", "running_var"))
        np.testing.assert_array_less(np.abs(layer.mean - mean) / layer.deviation, TOLERANCE, err_msg=layer.name)
        np.testing.assert_allclose(layer.variance, variance, rtol=TOLERANCE, err_msg=layer.name)


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, mode in FOLDED if name not in {"vgg11", "mobilenetv2", "bninception"}]
)
def test_statistics_and_answers_are_those_of_the_network_reestimated_in_torch(
    name: str, mode: FoldMode, tmp_path: Path, library: Library
) -> None:
    made, rows = network(name), shifted()
    bundle = library.copy(name, mode, tmp_path)

    found = published(recalibrated(bundle, rows), tmp_path)

    expected = reestimated(made, [rows])
    assert_statistics(found, expected)
    given = run_file(onnx.load(found.model_path), rows.numpy())
    assert relative_error(given, answers(expected, rows)) <= TOLERANCE
    assert [layer.placement for layer in found.manifest.layers] == [layer.placement for layer in bundle.manifest.layers]


@pytest.mark.parametrize("batch_rows", [16, 20])
def test_several_batches_normalize_each_by_its_own_statistics_and_are_pooled(
    batch_rows: int, tmp_path: Path, library: Library
) -> None:
    made, rows = network("resnet18"), shifted()
    bundle = library.copy("resnet18", "fast", tmp_path)

    found = published(recalibrated(bundle, rows, batch_rows=batch_rows), tmp_path)

    expected = reestimated(made, torch.split(rows, 16))  # 20 at most are three batches too, as even as possible
    assert_statistics(found, expected)
    assert relative_error(run_file(onnx.load(found.model_path), rows.numpy()), answers(expected, rows)) <= TOLERANCE


@pytest.mark.parametrize("rows", [1, 12])
def test_a_prior_counts_as_so_many_rows(rows: int, tmp_path: Path, library: Library) -> None:
    made, given = network("preactresnet18"), shifted(rows)
    bundle = library.copy("preactresnet18", "fast", tmp_path)

    found = published(recalibrated(bundle, given, prior_rows=36), tmp_path)

    expected = reestimated(made, [given], prior_rows=36)
    assert_statistics(found, expected)
    assert relative_error(run_file(onnx.load(found.model_path), given.numpy()), answers(expected, given)) <= TOLERANCE


def test_a_prior_is_mixed_with_what_the_first_layer_takes(tmp_path: Path) -> None:
    made = build(lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)))
    rows = 3 * normal_rows(30, 4) + 1
    bundle = publish(made, tmp_path, rows=normal_rows(20, 4))
    (before,) = bundle.normalization()

    (after,) = recalibrated(bundle, rows, prior_rows=10).draft.normalization

    taken = rows.double().numpy()
    np.testing.assert_allclose(after.mean, before.mean / 4 + 3 * taken.mean(axis=0) / 4, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.variance, before.variance / 4 + 3 * taken.var(axis=0) / 4, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, mode in FOLDED if name in {"preactresnet18", "densenet", "mobilenetv2"}]
)
def test_statistics_that_stay_give_the_same_graph(name: str, mode: FoldMode, tmp_path: Path, library: Library) -> None:
    bundle = library.copy(name, mode, tmp_path)

    made = recalibrated(bundle, shifted(1), prior_rows=10**12)

    before, after = onnx.load(bundle.model_path).graph, onnx.load_from_string(made.draft.model).graph
    weights = [
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer} for graph in (before, after)
    ]
    assert weights[0].keys() == weights[1].keys()
    for key, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][key], weight, rtol=1e-5, atol=1e-7, err_msg=key)
    assert [layer.model_copy(update={"scale": None}) for layer in made.draft.layers] == [
        layer.model_copy(update={"scale": None}) for layer in bundle.manifest.layers
    ]


def test_a_recalibrated_version_can_be_recalibrated(tmp_path: Path, library: Library) -> None:
    made, rows = network("convnet"), shifted()
    bundle = library.copy("convnet", "fast", tmp_path)

    second = published(recalibrated(bundle, images(ROWS)), tmp_path)
    third = published(recalibrated(second, rows), tmp_path)

    assert_statistics(third, reestimated(made, [rows]))
    assert third.manifest.recalibration is not None
    assert third.manifest.recalibration.source_version == 2


def test_a_layer_that_is_used_twice_keeps_one_set_of_statistics(tmp_path: Path) -> None:
    made = build(
        lambda: Forward(
            lambda net, x: net.head(net.norm(net.second(torch.relu(net.norm(net.first(x)))))),
            first=nn.Linear(4, 6),
            second=nn.Linear(6, 6),
            norm=nn.BatchNorm1d(6),
            head=nn.Linear(6, 3),
        )
    )
    rows = 2 * normal_rows(40, 4)
    bundle = publish(made, tmp_path, rows=normal_rows(20, 4))

    found = published(recalibrated(bundle, rows), tmp_path)

    once, twice = found.normalization()
    expected = reestimated(made, [rows])
    assert (once.name, twice.name) == ("norm", "norm@2")
    np.testing.assert_array_equal(once.mean, twice.mean)
    assert_statistics_of(once.mean, expected.get_buffer("norm.running_mean"))
    np.testing.assert_array_equal(found.parameters()["norm.running_mean"], once.mean.astype(np.float32))


def assert_statistics_of(found: np.ndarray, expected: Tensor) -> None:
    np.testing.assert_allclose(found, expected.double().numpy(), rtol=1e-4, atol=1e-5)


def test_a_layer_on_tokens_is_measured_over_all_of_them(tmp_path: Path) -> None:
    made = build(
        lambda: Forward(
            lambda net, x: net.head(net.norm(net.linear(x).transpose(1, 2)).mean(2)),
            linear=nn.Linear(4, 6),
            norm=nn.BatchNorm1d(6),
            head=nn.Linear(6, 3),
        )
    )
    rows = 2 * normal_rows(40, 5, 4)
    bundle = publish(made, tmp_path, rows=normal_rows(20, 5, 4))

    found = published(recalibrated(bundle, rows), tmp_path)

    assert_statistics(found, reestimated(made, [rows]))


def test_float16_is_recalibrated_in_its_own_type(tmp_path: Path) -> None:
    made = build(lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))).half()
    rows = normal_rows(40, 4)
    bundle = publish(made, tmp_path, rows=normal_rows(20, 4).half())

    found = published(recalibrated(bundle, rows.half()), tmp_path)

    expected = reestimated(made.float(), [rows])
    (layer,) = found.normalization()
    assert found.parameters()["1.running_mean"].dtype == np.float16
    np.testing.assert_allclose(layer.variance, expected.get_buffer("1.running_var").numpy(), rtol=1e-2)


def test_what_is_no_statistic_stays(tmp_path: Path) -> None:
    made = network("convnet")
    bundle = export(
        made,
        images(2),
        store=tmp_path,
        name="model",
        rows=images(20),
        described_as=describe(made, "convnet", {"widths": [6, 6, 12]}),
    )

    found = published(recalibrated(bundle, shifted()), tmp_path)

    old, new = bundle.manifest, found.manifest
    assert (new.name, new.version, new.network) == (old.name, 2, old.network)
    assert (new.inputs, new.outputs, new.labels, new.training) == (old.inputs, old.outputs, old.labels, old.training)
    assert [(b.kind, b.momentum, b.num_batches_tracked, b.into) for b in new.layers] == [
        (a.kind, a.momentum, a.num_batches_tracked, a.into) for a in old.layers
    ]
    kept = {key for key in bundle.parameters() if "running_" not in key}
    for key in kept:
        np.testing.assert_array_equal(found.parameters()[key], bundle.parameters()[key])


def test_the_sample_has_the_rows_of_before_and_the_answers_of_now(tmp_path: Path, library: Library) -> None:
    made, rows = network("convnet"), shifted()
    bundle = library.copy("convnet", "fast", tmp_path)

    found = published(recalibrated(bundle, rows), tmp_path)

    (inputs,), (outputs,) = found.sample().inputs.values(), found.sample().outputs.values()
    np.testing.assert_array_equal(inputs, bundle.sample().inputs[bundle.manifest.inputs[0].name])
    assert relative_error(outputs, answers(reestimated(made, [rows]), torch.from_numpy(inputs))) <= TOLERANCE


def test_it_is_proved_on_random_rows_and_on_those_that_were_given(tmp_path: Path, library: Library) -> None:
    bundle = library.copy("convnet", "fast", tmp_path)

    verification = recalibrated(bundle, shifted()).draft.verification

    assert [(check.rows, check.num_rows) for check in verification.checks] == [("random", 64), ("real", ROWS)]
    assert verification.reference.startswith("onnxruntime")


def test_its_layers_see_what_they_now_say_that_they_were_trained_on(tmp_path: Path, library: Library) -> None:
    """The rows that the statistics come from are at no distance, and calibrate what is one."""
    rows = shifted(80)
    bundle = library.copy("resnet18", "fast", tmp_path)

    found = published(recalibrated(bundle, rows), tmp_path)

    columns, calibration, graph = found.columns(), found.calibration(), found.observing_graph()
    assert columns is not None
    assert calibration is not None
    assert graph is not None
    (seen,) = observe(graph, b"", columns, [rows.numpy()])
    moments = StackedMoments.of(seen)
    # one batch: each layer takes what it was measured to take, but for eps beside small variances
    np.testing.assert_allclose(moments.mean[columns.observable], 0, rtol=0, atol=1e-3)
    assert moments.variance[columns.observable].max() <= 1 + 1e-3
    assert calibration.rows == len(rows)
    assert (calibration.scores(moments, columns) < calibration.threshold(len(rows), 0.5)).all()


def test_what_changed_is_told(tmp_path: Path, library: Library) -> None:
    made, rows = network("convnet"), shifted()
    bundle = library.copy("convnet", "fast", tmp_path)
    labels = answers(made, rows).argmax(axis=1)
    name = bundle.manifest.inputs[0].name

    found = recalibrate(bundle, {name: rows.numpy()}, labels=labels, force=True, data="what a test made")

    (output,) = found.record.outputs
    after = answers(reestimated(made, [rows]), rows).argmax(axis=1)
    assert (found.record.source_version, found.record.rows, found.record.data) == (1, ROWS, "what a test made")
    assert output.predictions is not None
    assert (output.predictions.accuracy_before, output.predictions.accuracy_after) == (1, (after == labels).mean())
    assert output.predictions.agreement == (after == labels).mean()
    assert sum(output.predictions.after.values()) == ROWS
    first = found.record.layers[0]
    shift = np.abs(found.distances[first.name].shift)
    assert (first.mean_absolute_shift, first.max_absolute_shift) == (shift.mean(), shift.max())
    assert found.draft.recalibration == found.record


def test_several_inputs_are_taken_by_name(tmp_path: Path) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 5), nn.Linear(4, 5)
            self.norm, self.head = nn.BatchNorm1d(5), nn.Linear(5, 2)

        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            given: Tensor = self.head(self.norm(self.left(one) + self.right(other)))
            return given

    made = build(Sum)
    pair = (normal_rows(40, 3), normal_rows(40, 4, seed=2))
    bundle = export(made, tuple(rows[:2] for rows in pair), store=tmp_path, name="model", rows=pair)

    found = recalibrate(bundle, {"other": 2 * pair[1].numpy(), "one": pair[0].numpy()}, force=True)

    with torch.no_grad():
        taken = made.left(pair[0]) + made.right(2 * pair[1])  # type: ignore[operator]
    np.testing.assert_allclose(found.draft.normalization[0].mean, taken.mean(0).numpy(), rtol=1e-4, atol=1e-5)


def test_any_order_of_the_rows_in_one_batch_gives_the_same(tmp_path: Path, library: Library) -> None:
    bundle, rows = library.copy("convnet", "fast", tmp_path), shifted()

    pair = [recalibrated(bundle, given).draft.normalization for given in (rows, rows.flip(0))]

    for one, other in itertools.chain.from_iterable([zip(*pair, strict=True)]):
        np.testing.assert_allclose(one.variance, other.variance, rtol=1e-5)
