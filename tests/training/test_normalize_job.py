"""A recipe that says where to normalize, from its file to a bundle that is verified again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from folding.errors import VerificationError
from models.bundle import Bundle
from models.normalization import Normalization
from models.store import Store
from tests.committed import BUNDLES
from tests.damage import change_manifest
from tests.training.examples import run_job, short_recipe
from training.__main__ import main
from training.errors import RecipeError
from training.recipe import Recipe
from training.verify_bundle import verify_bundle

CHANGES = "normalize=[{action: remove, types: [BatchNorm1d]}, {types: [ReLU], where: after, eps: 1e-3}]"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What a recipe gives that normalizes after the nonlinearity; tests change nothing of it."""
    return run_job(short_recipe("epochs=1", CHANGES), Store(tmp_path_factory.mktemp("normalized")))


@pytest.fixture
def copied(published: Bundle, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(published.path, tmp_path / "1"))


def test_the_layers_of_the_bundle_are_those_of_the_recipe(published: Bundle) -> None:
    layers = published.manifest.layers

    assert [(layer.name, layer.into, layer.eps) for layer in layers] == [
        ("hidden.2.normalization", "hidden.3", 1e-3),
        ("hidden.5.normalization", "classifier", 1e-3),
    ]
    assert all(layer.num_batches_tracked for layer in layers)


def test_the_manifest_says_what_was_changed(published: Bundle) -> None:
    changes = (
        Normalization(action="remove", types=("BatchNorm1d",)),
        Normalization(types=("ReLU",), where="after", eps=1e-3),
    )

    assert published.manifest.network.normalize == changes
    assert published.manifest.training is not None
    assert Recipe.model_validate(published.manifest.training.recipe).normalize == changes


def test_the_network_is_rebuilt_with_its_changes(published: Bundle) -> None:
    record = verify_bundle(published)

    taps = {agreement.name for check in record.checks for agreement in check.taps}
    assert taps == {"hidden.2.normalization", "hidden.5.normalization"}


def test_another_eps_than_the_published_one_is_noticed(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["network"]["normalize"][1].update(eps=0.5))

    with pytest.raises(VerificationError, match=r"^logits: on random rows"):
        verify_bundle(Bundle.open(copied))


def test_without_the_changes_the_parameters_fit_no_network(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["network"].pop("normalize"))

    with pytest.raises(RecipeError, match=r"^network mlp: parameters\.npz does not fit it"):
        verify_bundle(Bundle.open(copied))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_a_bundle_that_says_nothing_of_changes_has_none(path: Path) -> None:
    assert Bundle.open(path).manifest.network.normalize == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("normalize=[{types: [Sigmoid]}]", r"normalize: types: expected a pattern of one of [^\n]+, got 'Sigmoid'"),
        ("normalize=[{types: [ReLU], where: behind}]", r"digits-mlp\.yaml: normalize\.0\.where: [^\n]+, got 'behind'"),
        ("normalize=[{}]", r"digits-mlp\.yaml: normalize\.0: [^\n]*expected names, types or both, got {}"),
    ],
)
def test_what_a_recipe_can_t_mean_is_one_sentence_and_publishes_nothing(
    change: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"

    code = main(["fit", "digits-mlp", "--set", "epochs=1", "--set", change, "--store", str(store)])

    assert code == 1
    assert re.fullmatch(rf"bntrain: {sentence}\n", capsys.readouterr().err)
    assert not store.exists()
