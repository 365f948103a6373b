"""``bntrain verify`` of networks that are none of the library's."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from models.bundle import PARAMETERS_FILE, Bundle
from tests.damage import change_manifest, replace_arrays
from tests.training.examples import normal_rows
from training import export
from training.__main__ import main
from training.errors import RecipeError
from training.loading import load_network
from training.verify_bundle import verify_bundle

# importing it leaves a trace
FACTORIES = """
from pathlib import Path
import torch
from torch import nn

Path("imported").touch()

class Difference(nn.Module):
    def __init__(self, width=6, steep=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, left, right):
        return self.norm(left) - 2 * right

class Nested(Difference):
    def forward(self, batch, *, right):
        return super().forward(batch["left"], right)

class Listed(Difference):
    def forward(self, *rows):
        return super().forward(*rows)
"""
SHAPES = ("--input-shape=right=7", "--input-shape=left=7")


@pytest.fixture(autouse=True)
def factories(folder: Path) -> Path:
    """A current folder with a module of factories, whose import can be told."""
    (folder / "my_networks.py").write_text(FACTORIES)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command made of a factory with an argument, its inputs in another order than the network's."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "my_networks.py").write_text(FACTORIES)
    options = ["--network", "my_networks:Difference", "--argument", "width=7", *SHAPES]
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        assert main(["export", *options, "--name", "mine", "--store", "store"]) == 0
    del sys.modules["my_networks"]
    return folder / "store" / "mine" / "1"


@pytest.fixture
def bundle(published: Path, factories: Path) -> Bundle:
    """A copy that a test may change; in this process its module was not imported yet."""
    return Bundle.open(Path(shutil.copytree(published, factories / "bundle")))


def exported(factory: str, example: tuple[torch.Tensor, ...] | dict[str, object]) -> Bundle:
    """The bundle of a factory's network, from Python."""
    network = load_network(f"my_networks:{factory}", {}).eval()
    return export(network, example, store="store", name="mine")


def test_what_a_manifest_names_is_not_imported(
    bundle: Bundle, factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["verify", str(bundle.path)])

    assert code == 1
    assert capsys.readouterr().err == (
        "bntrain: network: this bundle's is my_networks:Difference, which is not of the library; name what builds it: "
        "--network package.module:factory\n"
    )
    assert not (factories / "imported").exists()
    assert "my_networks" not in sys.modules


@pytest.mark.parametrize("name", ["my_networks", "my_networks:", ":my_networks", "timm/my_networks", "my_networks.py"])
def test_a_manifest_can_not_have_code_run_by_another_name(name: str, bundle: Bundle, factories: Path) -> None:
    change_manifest(bundle.path, lambda manifest: manifest["network"].update(name=name))

    with pytest.raises(RecipeError, match=r"^network"):
        verify_bundle(Bundle.open(bundle.path))

    assert not (factories / "imported").exists()


def test_the_factory_that_is_named_is_called_with_the_manifests_arguments(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["verify", str(bundle.path), "--network", "my_networks:Difference"])

    assert code == 0
    assert "every output within 1e-05, every tap within 0.0001" in capsys.readouterr().out


def test_the_inputs_are_told_apart_by_name(bundle: Bundle) -> None:
    record = verify_bundle(bundle, "my_networks:Difference")

    assert [tensor.name for tensor in bundle.manifest.inputs] == ["right", "left"]
    assert [(check.rows, check.num_rows) for check in record.checks] == [("random", 64), ("real", 16)]


@pytest.mark.parametrize("factory", ["Nested", "Listed"])
def test_inputs_in_a_dictionary_or_a_list_of_arguments_find_their_place(factory: str) -> None:
    left, right = normal_rows(2, 6, seed=1), normal_rows(2, 6, seed=2)
    bundle = exported(factory, (left, right) if factory == "Listed" else {"batch": {"left": left}, "right": right})

    record = verify_bundle(bundle, f"my_networks:{factory}")

    assert len(record.checks) == 2


def test_other_parameters_than_the_published_graphs_are_noticed(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_arrays(bundle.path, PARAMETERS_FILE, lambda arrays: arrays["norm.running_mean"].fill(0.5))

    code = main(["verify", str(bundle.path), "--network", "my_networks:Difference"])

    assert code == 1
    assert re.fullmatch(r"bntrain: output: on random rows the folded graph is [^\n]+\n", capsys.readouterr().err)


def test_a_network_that_the_parameters_do_not_fit_is_refused(bundle: Bundle, factories: Path) -> None:
    (factories / "my_others.py").write_text(
        "from torch import nn\n\ndef make(width):\n    return nn.Linear(width, 2)\n"
    )

    with pytest.raises(RecipeError) as refused:
        verify_bundle(bundle, "my_others:make")

    assert re.match(r"network my_others:make: parameters\.npz does not fit it: [^\n]+$", str(refused.value))


def test_a_network_from_python_is_verified_by_whatever_builds_it(factories: Path) -> None:
    (factories / "my_others.py").write_text("from torch import nn\n\ndef make():\n    return nn.BatchNorm1d(6)\n")
    bundle = export(nn.BatchNorm1d(6).eval(), normal_rows(2, 6), store="store", name="mine", allow_untrained=True)

    record = verify_bundle(bundle, "my_others:make")

    assert bundle.manifest.network.name == "torch.nn.modules.batchnorm:BatchNorm1d"
    assert [agreement.name for agreement in record.checks[0].outputs] == ["output"]
