"""``bntrain export`` and ``bntrain networks``, from the command line to the store."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import training
from models.bundle import Bundle
from models.store import Store
from tests.training.examples import normal_rows
from training.__main__ import main
from training.loading import load_network
from training.networks import NETWORKS

ROOT = Path(training.__file__).parents[1]
FACTORIES = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.early = nn.BatchNorm2d(width)
        self.late = nn.BatchNorm2d(width)
        for layer in (self.early, self.late):
            layer.running_mean.uniform_(-1, 1)

    def forward(self, image):
        return self.late(self.early(self.conv(image)).relu())

class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(2, 6)
        self.norm = nn.BatchNorm1d(6)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, image, number):
        return self.norm(image.flatten(1)) * self.table(number)

def trained(width=4):
    torch.manual_seed(0)
    return Small(width)  # in training mode, as a factory leaves it

def new():
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))

def branching():
    network = trained()
    network.forward = lambda image: image if image.sum() > 0 else network.early(network.conv(image))
    return network
"""
SHAPE = ("--input-shape", "3,8,8")
NAME = ("--name", "mine", "--store", "store")


@pytest.fixture(autouse=True)
def factories(folder: Path) -> Path:
    """A current folder with a module of factories, and files that fit no network of it."""
    (folder / "my_networks.py").write_text(FACTORIES)
    torch.save({"conv.weight": torch.zeros(3)}, folder / "other.pt")
    np.savez(folder / "wide.npz", image=normal_rows(5, 3, 9, 9).numpy())
    np.savez(folder / "two.npz", image=normal_rows(5, 3, 8, 8).numpy(), more=np.zeros(5))
    (folder / "occupied").write_text("no folder")
    return folder


def export(factory: str, *arguments: str) -> int:
    """The exit code of an export of one of the factories."""
    return main(["export", "--network", f"my_networks:{factory}", *NAME, *arguments])


def published() -> Bundle:
    """The first version that was published."""
    return Store(Path("store")).open("mine", 1)


def test_the_report_says_all_there_is_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    code = export("trained", *SHAPE)

    out, folding = capsys.readouterr().out, published().manifest.folding
    header, early, late, total, graph, *errors, last = out.splitlines()
    assert code == 0
    assert header.split() == ["layer", "kind", "channels", "placement", "into,", "or", "why", "not"]
    assert early.split() == ["early", "BatchNorm2d", "4", "folded-backward", "conv"]
    assert re.fullmatch(r" +late +BatchNorm2d +4 +kept +It stayed as it was, .+\.", late)
    assert total == "1 of 2 normalization layers folded: 1 folded-backward, 1 kept"
    assert graph == (
        "graph (fast): 4 nodes, 2 of them normalizations, before; 3, 1 of them, after; "
        f"{folding.before.bytes / 1e6:.2f} MB before, {folding.after.bytes / 1e6:.2f} MB after; "
        f"{folding.speedup:.2f} times as fast"
    )
    assert errors[0].endswith("(at most 1e-05 of outputs, 0.0001 of taps):")
    assert errors[1].split() == ["kind", "tensor", "64", "random", "rows"]
    assert [re.sub(r"\d\.\de-\d\d$", "error", row).split() for row in errors[2:]] == [
        ["output", "output", "error"],
        ["tap", "early", "error"],
        ["tap", "late", "error"],
    ]
    assert last == "published store/mine/1"


def test_complete_leaves_no_normalization_node(capsys: pytest.CaptureFixture[str]) -> None:
    code = export("trained", *SHAPE, "--fold", "complete")

    assert code == 0
    assert re.search(r"graph \(complete\): .*; \d+, 0 of them, after;", capsys.readouterr().out)


def test_a_dry_run_reports_and_publishes_nothing(factories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = export("trained", *SHAPE, "--dry-run")

    printed = capsys.readouterr().out
    assert code == 0
    assert "1 of 2 normalization layers folded" in printed
    assert "published" not in printed
    assert not (factories / "store").exists()


def test_arguments_reach_the_factory_and_the_manifest() -> None:
    code = export("trained", *SHAPE, "--argument", "width=7")

    network = published().manifest.network
    assert code == 0
    assert (network.name, network.arguments) == ("my_networks:trained", {"width": 7})
    assert network.parameters == 7 * 3 * 9 + 7 + 2 * 14  # a convolution with its biases, two layers' weights and biases


def test_a_checkpoint_is_what_is_published(factories: Path) -> None:
    state = load_network("my_networks:trained", {}).state_dict()
    state["early.running_mean"] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.save({"state_dict": state}, factories / "checkpoint.pt")

    code = export("trained", *SHAPE, "--checkpoint", "checkpoint.pt")

    early, _ = published().normalization()
    assert code == 0
    assert early.mean.tolist() == [1, 2, 3, 4]


def test_real_rows_are_verified_with_in_a_column_of_their_own(
    factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = normal_rows(5, 3, 8, 8).numpy()
    np.savez(factories / "rows.npz", rows)

    code = export("trained", *SHAPE, "--rows", "rows.npz")

    assert code == 0
    assert re.search(r"^ +kind +tensor +64 random rows +5 real rows$", capsys.readouterr().out, flags=re.MULTILINE)
    np.testing.assert_array_equal(published().sample().inputs["image"], rows)


@pytest.mark.parametrize(
    "shapes", [("image=2,3", "number:INT64="), ("number:INT64=", "image:FP32=2,3")], ids=["in order", "in another"]
)
def test_inputs_of_several_datatypes_are_given_by_name(shapes: tuple[str, ...], factories: Path) -> None:
    np.savez(factories / "rows.npz", number=np.array([0, 1, 1]), image=normal_rows(3, 2, 3).numpy())

    code = export("Lookup", *(f"--input-shape={shape}" for shape in shapes), "--rows", "rows.npz")

    inputs = {record.name: (record.datatype, record.shape) for record in published().manifest.inputs}
    assert code == 0
    assert inputs == {"image": ("FP32", (-1, 2, 3)), "number": ("INT64", (-1,))}
    assert published().sample().inputs["number"].tolist() == [0, 1, 1]


def test_a_network_of_the_library_is_exported_by_its_name() -> None:
    code = main(["export", "--network=mlp", "--argument=widths=[8]", "--input-shape=1,8,8", "--allow-untrained", *NAME])

    manifest = published().manifest
    assert code == 0
    assert (manifest.network.name, manifest.network.arguments) == ("mlp", {"widths": [8]})
    assert [layer.placement for layer in manifest.layers] == ["folded-backward"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere:new", *SHAPE], "network: expected a module 'nowhere' that can be imported: .+"),
        (["my_networks:old", *SHAPE], "network: expected 'old' in my_networks, it has none"),
        (["resnet-18", *SHAPE], "network: expected one of .+, got 'resnet-18'; did you mean resnet18?"),
        (["my_networks:trained", *SHAPE, "--argument", "width"], "--argument: expected key=value, got 'width'"),
        (["my_networks:trained", *SHAPE, "--argument", "width=[1"], "--argument width: expected a YAML value .+"),
        (["my_networks:trained", *SHAPE, "--argument", "width=.nan"], "--argument width: .+ JSON .+, got '.nan'"),
        (["my_networks:trained", *SHAPE, "--argument", "width={1: 2}"], "--argument width: .+ JSON .+"),
        (["my_networks:trained", *SHAPE, "--argument", "width=2020-01-01"], "--argument width: .+ JSON .+"),
        (["my_networks:trained", *SHAPE, "--argument", "depth=3"], "network my_networks:trained: .+ 'depth'"),
        (["my_networks:trained", "--input-shape", "3x8x8"], "--input-shape: expected .+, got '3x8x8'"),
        (["my_networks:trained", "--input-shape", ""], "--input-shape: expected .+, got ''"),
        (["my_networks:trained", "--input-shape", "3,0,8"], "--input-shape: expected sizes above 0, got '3,0,8'"),
        (["my_networks:trained", "--input-shape", "image:FP99=3"], "--input-shape: expected .+, got 'image:FP99=3'"),
        (["my_networks:trained", "--input-shape", "image:BYTES=3"], "--input-shape: expected .+, got 'image:BYTES=3'"),
        (
            ["my_networks:trained", "--input-shape", "3,99999999,99999999"],
            "--input-shape: expected rows that fit into memory, got .+",
        ),
        (
            ["my_networks:trained", "--input-shape", "9" * 30],
            "--input-shape: expected rows that fit into memory, got .+",
        ),
        (["my_networks:Lookup", "--input-shape", "6", "--input-shape", "n="], "--input-shape: expected a name .+"),
        (["my_networks:Lookup", "--input-shape", "a=6", "--input-shape", "a="], "--input-shape: expected a name .+"),
        (["my_networks:trained", "--input-shape", "picture=3,8,8"], "network: expected to take .+'picture'"),
        (["my_networks:trained", "--input-shape", "image:INT64=3,8,8"], "network: expected to take the example: .+"),
        (["my_networks:trained", "--input-shape", "4,8,8"], "network: expected to take the example: .+"),
        (["my_networks:trained", *SHAPE, "--checkpoint", "none.pt"], "none.pt: expected a file, there is none"),
        (["my_networks:trained", *SHAPE, "--checkpoint", "other.pt"], "other.pt: expected the parameters .+ lacks .+"),
        (["my_networks:trained", *SHAPE, "--checkpoint", "wide.npz"], "wide.npz: expected .+"),
        (["my_networks:trained", *SHAPE, "--rows", "none.npz"], "none.npz: expected an .npz file of plain arrays: .+"),
        (["my_networks:trained", *SHAPE, "--rows", "other.pt"], "other.pt: expected an .npz file of plain arrays: .+"),
        (["my_networks:trained", *SHAPE, "--rows", "two.npz"], "--rows: expected 1 arrays, .+ got .'image', 'more'."),
        (["my_networks:trained", "--input-shape", "x=3,8,8", "--rows", "wide.npz"], "--rows: expected the arrays .+"),
        (["my_networks:trained", *SHAPE, "--rows", "wide.npz"], "rows: image: expected FP32 of shape .+"),
        (["my_networks:new", "--input-shape", "6"], "1: expected statistics that data has updated, .+"),
        (["my_networks:branching", *SHAPE], "network: expected a module that torch.export can trace: .+"),
        (["my_networks:trained", *SHAPE, "--name", "my model"], "model name: expected .+, got 'my model'"),
        (["my_networks:trained", *SHAPE, "--store", "occupied"], "occupied/mine: expected a folder .+"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_what_can_t_be_exported_is_one_sentence_and_publishes_nothing(
    arguments: list[str], sentence: str, factories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(factories.iterdir())

    code = main(["export", *NAME, "--network", *arguments])

    printed = capsys.readouterr()
    assert code == 1
    assert re.fullmatch(rf"bntrain: {sentence.replace('?', '[?]')}\n", printed.err)
    assert printed.out == ""
    assert [path for path in sorted(factories.iterdir()) if path.name != "__pycache__"] == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--network", "mlp", *NAME],
        ["--network", "mlp", *SHAPE],
        ["--network", "mlp", *SHAPE, *NAME, "--fold", "best"],
        ["--network", "mlp", *SHAPE, *NAME, "--compress"],
        ["--network", "mlp", *SHAPE, *NAME, "more"],
    ],
    ids=["nothing", "no shape", "no name", "an unknown mode", "an unknown option", "too much"],
)
def test_a_command_line_that_is_not_understood_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["export", *arguments])

    assert leaving.value.code == 2
    assert "usage: bntrain" in capsys.readouterr().err


def test_networks_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["networks"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[1:-1]] == list(NETWORKS)
    assert lines[-1].startswith("also timm/NAME and torchvision/NAME")


def test_the_modules_of_a_network_are_listed_as_patterns_see_them(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["networks", "mlp", "--argument", "widths=[4]"])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert lines[1:-1] == [
        ["hidden.0", "Linear", "layer"],
        ["hidden.1", "BatchNorm1d", "normalization"],
        ["hidden.2", "ReLU", "nonlinearity"],
        ["classifier", "Linear", "layer"],
    ]


def test_an_argument_without_a_network_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["networks", "--argument", "widths=[4]"])

    assert code == 1
    assert capsys.readouterr().err == "bntrain: --argument: expected the name of a network to build with it\n"


def test_the_command_says_nothing_but_its_report() -> None:
    command = [sys.executable, "-m", "training", "export", "--network", "my_networks:trained", *SHAPE, *NAME]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={"PYTHONPATH": str(ROOT)}
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("published store/mine/1\n")
