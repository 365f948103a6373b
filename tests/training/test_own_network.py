"""A recipe whose network is a factory of someone's own, from its file to a bundle that is verified again."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle import Bundle
from models.store import Store
from tests.training.examples import run_job, short_recipe
from training.__main__ import main
from training.errors import RecipeError

FACTORY = """
from torch import nn

class Small(nn.Module):
    def __init__(self, width=8, classes=10):
        super().__init__()
        self.hidden = nn.Linear(64, width)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        return self.head(self.norm(self.hidden(image.flatten(1))).relu())
"""
NETWORK = "network=my_networks:Small"


@pytest.fixture(autouse=True)
def module(folder: Path) -> Path:
    """A current folder with a module of the network."""
    path = folder / "my_networks.py"
    path.write_text(FACTORY)
    return path


@pytest.fixture
def published(folder: Path) -> Bundle:
    """What a recipe gives that names the factory and an argument."""
    return run_job(short_recipe("epochs=1", NETWORK, "arguments={width: 12}"), Store(folder / "store"))


def test_a_factory_is_fitted_and_published(published: Bundle) -> None:
    """With its normalization layer folded, like a network of the library."""
    network, (layer,) = published.manifest.network, published.manifest.layers

    assert (network.name, network.arguments) == ("my_networks:Small", {"width": 12})
    assert (layer.name, layer.channels, layer.into) == ("norm", 12, "hidden")
    assert layer.num_batches_tracked


def test_it_is_verified_where_its_code_is_named_once_more(
    published: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """No code is run because a manifest says so."""
    refused = main(["verify", str(published.path)])
    said = capsys.readouterr().err

    verified = main(["verify", str(published.path), "--network", "my_networks:Small"])

    assert (refused, verified) == (1, 0)
    assert "my_networks:Small, which is not of the library; name what builds it" in said


def test_one_that_gives_other_logits_is_refused_before_the_fit(folder: Path) -> None:
    """By the name that the recipe has for it."""
    recipe = short_recipe(NETWORK, "arguments={classes: 3}")

    with pytest.raises(RecipeError, match=r"^network my_networks:Small: expected logits of shape \(2, 10\)"):
        run_job(recipe, Store(folder / "store"))


def test_a_module_that_is_not_there_is_refused(folder: Path) -> None:
    """As what it is: a mistake in the recipe."""
    with pytest.raises(RecipeError, match=r"^network: expected a module 'nowhere' that can be imported"):
        run_job(short_recipe("network=nowhere:Small"), Store(folder / "store"))
