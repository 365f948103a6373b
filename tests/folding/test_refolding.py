from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from folding.refolding import refold_bundle
from models.bundle import PARAMETERS_FILE, SOURCE_FILE, Bundle
from models.store import Store
from tests.training.examples import build, normal_rows
from training import export
from training.verify_bundle import verify_bundle


def network() -> nn.Module:
    """Of its layers the first is only folded where everything is to be: it stands before a rectifier."""
    return nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3), nn.BatchNorm1d(3))


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What was published, folded as far as it gets faster."""
    rows = normal_rows(128, 4)
    return export(build(network), rows[:2], store=tmp_path_factory.mktemp("fast"), name="mine", rows=rows)


@pytest.fixture(scope="module")
def complete(fast: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same, folded as far as there is an exact form."""
    return Store(tmp_path_factory.mktemp("complete")).publish(refold_bundle(fast, mode="complete"))


def test_what_was_kept_is_folded_and_proved(fast: Bundle, complete: Bundle) -> None:
    before, after = fast.manifest.folding, complete.manifest.folding

    checks = complete.manifest.verification.checks
    figures = [agreement.max_relative_error for check in checks for agreement in check.outputs]

    assert (before.after.normalization_nodes, after.after.normalization_nodes) == (1, 0)
    assert (before.mode, after.mode) == ("fast", "complete")
    assert max(figures) <= complete.manifest.verification.tolerance


def test_all_else_stays(fast: Bundle, complete: Bundle) -> None:
    before, after = fast.manifest, complete.manifest

    kept = ("name", "network", "inputs", "outputs", "labels", "training", "recalibration")

    assert [getattr(after, field) for field in kept] == [getattr(before, field) for field in kept]
    assert after.files[PARAMETERS_FILE] == before.files[PARAMETERS_FILE]
    assert SOURCE_FILE not in after.files


def test_the_calibration_is_kept_since_the_same_channels_are_watched(fast: Bundle, complete: Bundle) -> None:
    before, after = fast.calibration(), complete.calibration()

    assert before is not None
    assert after is not None
    assert (after.thresholds == before.thresholds).all()


def test_folding_back_gives_the_layers_that_it_came_from(fast: Bundle, complete: Bundle, tmp_path: Path) -> None:
    back = Store(tmp_path).publish(refold_bundle(complete, mode="fast"))

    assert back.manifest.layers == fast.manifest.layers
    assert back.manifest.folding.after.nodes == fast.manifest.folding.after.nodes


def test_it_can_be_verified_against_the_network(complete: Bundle) -> None:
    record = verify_bundle(complete, f"{__name__}:network")

    assert record.reference.startswith("torch")
