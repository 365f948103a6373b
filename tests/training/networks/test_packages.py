import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from torch import nn

from training.errors import RecipeError
from training.networks import build_network

# Neither package is among what the tests need; these have the functions that networks are asked of.
TIMM = """
from torch import nn

def list_models():
    return ["resnet18", "resnet34", "vit_tiny_patch16_224"]

def create_model(model_name, pretrained=False, num_classes=1000):
    assert num_classes > 0, "num_classes must be positive"
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes)) if not pretrained else None
"""
TORCHVISION_MODELS = """
import sys
from torch import nn

def list_models(module=None):
    return ["alexnet"] if module is sys.modules[__name__] else ["alexnet", "fcn_resnet50"]

def get_model(name, weights="DEFAULT", num_classes=1000):
    return nn.Linear(2, num_classes) if weights is None else None
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are imported from, and forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    loaded = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - loaded:
        if name.partition(".")[0] in {"timm", "torchvision"}:
            del sys.modules[name]


def write(packages: Path, module: str, text: str) -> None:
    """Write a package's ``__init__.py``."""
    folder = packages / module
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_package_that_is_not_installed_is_asked_for_in_one_sentence(package: str) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")

    with pytest.raises(RecipeError) as refusal:
        build_network(f"{package}/resnet18", {})

    assert str(refusal.value) == (
        f"network {package}/resnet18: expected the package {package} to be installed, it is not: pip install {package}"
    )


def test_timm_builds_a_network_with_arguments_and_without_weights(packages: Path) -> None:
    write(packages, "timm", TIMM)

    network = build_network("timm/resnet18", {"num_classes": 7})

    assert isinstance(network, nn.Sequential)
    assert network[1].out_features == 7


def test_torchvision_builds_a_network_with_arguments_and_without_weights(packages: Path) -> None:
    write(packages, "torchvision", "")
    write(packages, "torchvision/models", TORCHVISION_MODELS)

    network = build_network("torchvision/alexnet", {"num_classes": 7})

    assert isinstance(network, nn.Linear)
    assert network.out_features == 7


@pytest.mark.parametrize(
    "argument", ["checkpoint_path", "pretrained", "pretrained_cfg_overlay", "weights", "weights_backbone"]
)
@pytest.mark.parametrize("name", ["timm/resnet18", "torchvision/alexnet"])
def test_an_argument_that_has_a_file_read_is_refused(packages: Path, name: str, argument: str) -> None:
    write(packages, "timm", TIMM)
    write(packages, "torchvision", "")
    write(packages, "torchvision/models", TORCHVISION_MODELS)

    with pytest.raises(RecipeError, match=rf"expected none that loads weights, got '{argument}'"):
        build_network(name, {argument: "weights.pth"})


def test_a_network_of_torchvision_that_is_no_classifier_is_refused(packages: Path) -> None:
    write(packages, "torchvision", "")
    write(packages, "torchvision/models", TORCHVISION_MODELS)

    with pytest.raises(RecipeError, match=r"expected one that torchvision has, got 'fcn_resnet50'$"):
        build_network("torchvision/fcn_resnet50", {})


def test_an_unknown_network_of_a_package_is_refused_with_those_that_may_be_meant(packages: Path) -> None:
    write(packages, "timm", TIMM)

    with pytest.raises(RecipeError) as refusal:
        build_network("timm/resnet180", {})

    assert str(refusal.value) == (
        "network timm/resnet180: expected one that timm has, got 'resnet180'; "
        "did you mean timm/resnet18 or timm/resnet34?"
    )


@pytest.mark.parametrize("name", ["hf-hub:someone/weights", "local-dir:weights", "resnet18.a1_in1k"])
def test_a_name_that_stands_for_weights_is_refused(packages: Path, name: str) -> None:
    write(packages, "timm", TIMM)

    with pytest.raises(RecipeError, match=rf"^network timm/{name}: expected one that timm has, got '{name}'"):
        build_network(f"timm/{name}", {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"pretrained": True}, "'pretrained'"), ({"depth": 3}, "'depth'"), ({"num_classes": 0}, "must be positive")],
)
def test_an_argument_that_a_packages_network_does_not_take_is_refused(
    packages: Path, arguments: dict[str, object], said: str
) -> None:
    write(packages, "timm", TIMM)

    with pytest.raises(RecipeError, match=rf"^network timm/resnet18: arguments: .*{said}"):
        build_network("timm/resnet18", arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import what_timm_needs", "No module named 'what_timm_needs'"),
        ("raise RuntimeError('another\\ntorch')", "another torch"),
    ],
)
def test_a_package_that_fails_to_import_is_refused_with_what_it_says(packages: Path, text: str, said: str) -> None:
    write(packages, "timm", text)

    with pytest.raises(RecipeError) as refusal:
        build_network("timm/resnet18", {})

    assert str(refusal.value) == f"network timm/resnet18: package timm: {said}"
