"""Networks by name and by factory: what is taken, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from training.errors import RecipeError
from training.loading import load_network
from training.networks.mlp import MLP

FACTORIES = """
import torch
from torch import nn

def small(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))

class Small(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 4))

def fails():
    raise OSError("the data\\nis not here")

def fails_silently():
    raise AssertionError

def lazy():
    return nn.Sequential(nn.LazyLinear(4), nn.BatchNorm1d(4))

def state():
    return small().state_dict()

text = "no factory"
"""


@pytest.fixture
def factories(folder: Path) -> Path:
    """A current folder with a module of factories."""
    (folder / "my_factories.py").write_text(FACTORIES)
    return folder


@pytest.mark.usefixtures("factories")
def test_a_factory_in_the_current_folder_is_imported_and_called_with_the_arguments() -> None:
    network = load_network("my_factories:small", {"width": 7})

    assert isinstance(network, nn.Sequential)
    assert network[1].num_features == 7


@pytest.mark.usefixtures("factories")
def test_a_class_is_a_factory() -> None:
    network = load_network("my_factories:Small", {})

    assert type(network).__name__ == "Small"


def test_a_factory_may_lie_in_a_package(folder: Path) -> None:
    (folder / "my_package").mkdir()
    (folder / "my_package" / "networks.py").write_text(FACTORIES)

    network = load_network("my_package.networks:small", {})

    assert isinstance(network, nn.Sequential)


def test_a_name_without_a_colon_is_one_of_the_library() -> None:
    network = load_network("mlp", {"widths": [8], "in_features": 3})

    assert isinstance(network, MLP)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        (
            "my_other:small",
            {},
            "network: expected a module 'my_other' that can be imported: No module named 'my_other'",
        ),
        (":small", {}, "network: expected a module '' that can be imported: Empty module name"),
        ("my_factories:big", {}, "network: expected 'big' in my_factories, it has none"),
        ("my_factories:", {}, "network: expected '' in my_factories, it has none"),
        (
            "my_factories:fails",
            {},
            "network my_factories:fails: expected a factory that can be called so: the data is not here",
        ),
        (
            "my_factories:fails_silently",
            {},
            "network my_factories:fails_silently: expected a factory that can be called so: AssertionError",
        ),
        (
            "my_factories:small",
            {"depth": 3},
            "network my_factories:small: expected a factory that can be called so: "
            "small() got an unexpected keyword argument 'depth'",
        ),
        (
            "my_factories:text",
            {},
            "network my_factories:text: expected a factory that can be called so: 'str' object is not callable",
        ),
        ("my_factories:state", {}, "network my_factories:state: expected a torch.nn.Module, got OrderedDict"),
        (
            "my_factories:lazy",
            {},
            "network my_factories:lazy: 0.weight: expected a parameter of a known shape, got a lazy one; "
            "have the factory call the network once",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
@pytest.mark.usefixtures("factories")
def test_a_factory_that_gives_no_network_is_refused_in_one_sentence(
    name: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        load_network(name, arguments)

    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import torch; torch.no_such_thing", ": module 'torch' has no attribute 'no_such_thing'"),
        ("def small(:", r": invalid syntax \(my_broken\.py, line 1\)"),
        ("import sys; sys.exit(3)", ", it exits"),
    ],
    ids=["an attribute that torch lacks", "a syntax error", "a script that exits"],
)
def test_a_module_that_fails_to_import_is_refused_with_what_it_says(folder: Path, text: str, sentence: str) -> None:
    (folder / "my_broken.py").write_text(text)

    with pytest.raises(
        RecipeError, match=rf"^network: expected a module 'my_broken' that can be imported{sentence}$"
    ) as refused:
        load_network("my_broken:small", {})

    assert "\n" not in str(refused.value)
