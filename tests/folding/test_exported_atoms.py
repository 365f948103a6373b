"""This module tests that bundles have the atoms of the rows that they are calibrated by, whatever becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from folding.atoms import find_atoms
from folding.held_out import calibrate_bundle
from folding.observing import observe
from folding.proof import prove
from folding.recalibration import Recalibrated, recalibrate
from folding.references import GraphReference
from folding.refolding import refold_bundle
from models.atoms import Atoms, atoms_to_arrays
from models.bundle import ATOMS_FILE, Bundle
from models.calibration_arrays import to_arrays
from models.draft import BundleDraft
from models.stacked_moments import StackedMoments
from models.store import Store
from tests.drafts import observed_by
from tests.training.examples import build, fold, normal_rows, traced
from training import export

ROWS = 96
ROW = (2, 6, 6)


def network() -> nn.Module:
    """Of its layers the first is only folded where everything is to be: it stands before a rectifier."""
    return nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


def black_ground(rows: int = ROWS, *, black: float = 0.0, seed: int = 0) -> Tensor:
    """Images of a figure that covers more or less of each."""
    generator = torch.Generator().manual_seed(seed)
    covered = torch.rand((rows, 1, 1, 1), generator=generator)
    on_ground = torch.rand((rows, *ROW), generator=generator) > covered
    return torch.where(on_ground, torch.tensor(black), normal_rows(rows, *ROW, seed=seed))


def publish(rows: Tensor, folder: Path, network: nn.Module) -> Bundle:
    return export(network, rows[:2], store=folder, name="model", rows=rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Exported with rows on a black ground."""
    return publish(black_ground(), tmp_path_factory.mktemp("ground"), build(network))


def assert_same(found: tuple[Atoms, ...], expected: tuple[Atoms, ...]) -> None:
    """Assert that atoms are the same, number by number."""
    arrays = atoms_to_arrays(found)
    assert list(arrays) == list(atoms_to_arrays(expected))
    for name, array in atoms_to_arrays(expected).items():
        np.testing.assert_array_equal(arrays[name], array)


def scores(bundle: Bundle, rows: Tensor) -> tuple[list[float], float]:
    """Of each layer and then of the input, and the threshold of one window in a thousand."""
    columns, calibration, graph = bundle.columns(), bundle.calibration(), bundle.observing_graph()
    assert columns is not None
    assert calibration is not None
    assert graph is not None
    (found,) = observe(graph, b"", columns, [rows.numpy()])
    moments = StackedMoments.of(found)
    return calibration.scores(moments, columns).tolist(), calibration.threshold(len(rows), 0.001)


def test_an_export_has_the_atoms_of_its_held_out_rows(bundle: Bundle) -> None:
    """As they are found in them."""
    found = bundle.atoms()

    assert [(one.channels.tolist(), one.values.tolist()) for one in found] == [([0, 1], [0.0, 0.0])]
    assert_same(found, find_atoms(bundle.manifest.inputs, [black_ground().numpy()]))


def test_the_probe_tells_of_those_rows_the_share_that_is_kept(bundle: Bundle) -> None:
    """So that they are where they are expected: at 0 with a variance of 1."""
    columns, graph = bundle.columns(), bundle.observing_graph()
    assert columns is not None
    assert graph is not None

    (found,) = observe(graph, b"", columns, [black_ground().numpy()])

    moments = StackedMoments.of(found)
    np.testing.assert_allclose((moments.mean[-1], moments.variance[-1]), (0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("real", [True, False])
def test_a_proof_on_other_rows_finds_none(real: bool) -> None:
    """Continuous ones have none; and of rows that only say how random ones look nothing is kept."""
    made = build(network)
    rows = normal_rows(ROWS, *ROW) if real else black_ground()
    model = traced(made, rows)
    graph = fold(model, made, "fast")

    exported = prove(graph, GraphReference(graph.unfolded), [rows.numpy()], real=real)

    assert observed_by(exported).atoms == ()
    assert (observed_by(exported).calibration is not None) == real


def test_a_network_without_layers_has_no_atoms(tmp_path: Path) -> None:
    """It has no probe that could tell of them."""
    bare = nn.Sequential(nn.Flatten(), nn.Linear(72, 2)).eval()

    exported = publish(black_ground(), tmp_path, bare)

    assert exported.atoms() == ()
    assert exported.calibration() is None


def test_unmoved_rows_are_at_no_distance(bundle: Bundle) -> None:
    """At the layers and at the input."""
    found, threshold = scores(bundle, black_ground(64, seed=1))

    assert len(found) == 3
    assert max(found) < threshold


def test_a_ground_that_is_left_by_little_is_told_by_the_input_alone(bundle: Bundle) -> None:
    """No layer's mean or variance moves by as much as rows differ."""
    rows = black_ground(64, seed=1)

    found, threshold = scores(bundle, torch.where(rows == 0, 0.003, rows))

    assert max(found[:-1]) < threshold < found[-1]


def test_calibration_by_other_rows_is_of_the_input_too(bundle: Bundle) -> None:
    """It has atoms of its own in these rows."""
    (name,) = (record.name for record in bundle.manifest.inputs)
    rows = black_ground(80, black=-0.75, seed=3).numpy()

    found = calibrate_bundle(bundle, {name: rows})

    calibration = found.calibration
    assert calibration is not None
    assert_same(found.atoms, find_atoms(bundle.manifest.inputs, [rows]))
    assert [one.values.tolist() for one in found.atoms] == [[-0.75, -0.75]]
    assert [len(layer.mean) for layer in calibration.layers] == [4, 8, 2]


@pytest.fixture(scope="module")
def refolded(bundle: Bundle) -> BundleDraft:
    """Folded as far as there is an exact form."""
    return refold_bundle(bundle, mode="complete")


def test_refolding_keeps_the_atoms_and_their_calibration(bundle: Bundle, refolded: BundleDraft) -> None:
    """The input is the same, whatever is folded behind it."""
    before = bundle.calibration()

    after = observed_by(refolded).calibration

    assert_same(observed_by(refolded).atoms, bundle.atoms())
    assert before is not None
    assert after is not None
    for name, array in to_arrays(before).items():
        np.testing.assert_array_equal(to_arrays(after)[name], array)


def test_what_is_refolded_tells_the_same_of_its_input(bundle: Bundle, refolded: BundleDraft, tmp_path: Path) -> None:
    """Published, and read again."""
    published = Store(tmp_path).publish(refolded)
    rows = black_ground(64, seed=1)

    found, _ = scores(published, rows)

    assert published.manifest.files[ATOMS_FILE] == bundle.manifest.files[ATOMS_FILE]
    assert found[-1] == scores(bundle, rows)[0][-1]


def recalibrated(bundle: Bundle, rows: Tensor) -> Recalibrated:
    """By force, since what networks with random weights predict says nothing."""
    return recalibrate(bundle, {bundle.manifest.inputs[0].name: rows.numpy()}, force=True)


def test_recalibration_finds_the_atoms_of_its_rows(bundle: Bundle) -> None:
    """As images that are standardized otherwise have another black."""
    rows = black_ground(black=-0.75)

    found = observed_by(recalibrated(bundle, rows).draft).atoms

    assert [one.values.tolist() for one in found] == [[-0.75, -0.75]]
    assert_same(found, find_atoms(bundle.manifest.inputs, [rows.numpy()]))


def test_what_is_recalibrated_is_at_no_distance_from_its_rows(bundle: Bundle, tmp_path: Path) -> None:
    """By the input as by the layers, once it is published."""
    rows = black_ground(black=-0.75)
    published = Store(tmp_path).publish(recalibrated(bundle, rows).draft)

    found, threshold = scores(published, rows)

    assert len(found) == 3
    assert max(found) < threshold


@pytest.mark.parametrize("rows", [normal_rows(ROWS, *ROW), black_ground(63)], ids=["continuous", "few"])
def test_recalibration_by_rows_without_atoms_leaves_none(bundle: Bundle, rows: Tensor) -> None:
    """Those of before were of other rows."""
    made = recalibrated(bundle, rows)

    found = observed_by(made.draft).atoms

    assert found == ()
