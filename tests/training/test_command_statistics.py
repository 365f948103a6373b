import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.bundle import PARAMETERS_FILE, Bundle
from tests.training.examples import normal_rows
from training.__main__ import main
from training.networks import build_network

NETWORK = ["--network", "mlp", "--argument", "in_features=4", "--argument", "widths=[3, 5]"]


@pytest.fixture(autouse=True)
def files(folder: Path) -> Path:
    """A current folder with a checkpoint of a network that saw no data yet, and rows."""
    torch.manual_seed(0)
    torch.save(network().state_dict(), folder / "new.pt")
    np.savez(folder / "rows.npz", x=rows().numpy())
    np.savez(folder / "wide.npz", x=normal_rows(20, 7).numpy())
    np.savez(folder / "two.npz", x=rows().numpy(), y=rows().numpy())
    np.savez(folder / "none.npz", x=rows()[:0].numpy())
    np.savez(folder / "nan.npz", x=np.full((20, 4), np.nan, np.float32))
    return folder


def network() -> nn.Module:
    return build_network("mlp", {"in_features": 4, "widths": [3, 5]})


def rows() -> Tensor:
    return 3 * normal_rows(100, 4) + 1


def taken_by(made: nn.Module, layer: str) -> Tensor:
    """What a layer takes over all rows."""
    taken: list[Tensor] = []
    made.eval().get_submodule(layer).register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    with torch.no_grad():
        made(rows())
    return taken[0]


def test_every_layer_keeps_the_statistics_of_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["statistics", "new.pt", "estimated.pt", *NETWORK, "--rows", "rows.npz"])

    made = network()
    made.load_state_dict(torch.load("estimated.pt"))
    layers = {name: module for name, module in made.named_modules() if isinstance(module, nn.BatchNorm1d)}
    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in printed] == ["layer", *layers, "wrote"]
    assert printed[-1] == "wrote estimated.pt, its statistics those of 100 rows"
    for name, layer in layers.items():
        taken = taken_by(made, name)
        # sums of 100 numbers around 1 in float32
        torch.testing.assert_close(layer.running_mean, taken.mean(dim=0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var, taken.var(dim=0, correction=0), rtol=1e-4, atol=1e-5)


def test_weights_stay_and_the_second_time_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    main(["statistics", "new.pt", "once.pt", *NETWORK, "--rows", "rows.npz"])
    capsys.readouterr()

    main(["statistics", "once.pt", "twice.pt", *NETWORK, "--rows", "rows.npz", "--batch-rows", "7"])

    new, twice = torch.load("new.pt"), torch.load("twice.pt")
    moved = [line.split()[1:5] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert moved == [["0.000", "0.000", "1.000", "1.000"]] * 2
    assert all(torch.equal(new[key], twice[key]) for key in new if "running" not in key)


def test_a_recipe_names_the_network_and_the_rows(short: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    """The parameters that a bundle brings are a checkpoint, and the statistics in it are those already."""
    recipe = ["--recipe", "digits-mlp", "--set", "arguments={widths: [32, 16]}"]

    code = main(["statistics", str(short.path / PARAMETERS_FILE), "again.pt", *recipe])

    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[1:5] for line in printed[1:-1]] == [["0.000", "0.000", "1.000", "1.000"]] * 2
    assert printed[-1].endswith("its statistics those of 1200 rows")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rows", "rows.npz"], "expected --recipe or --network, one of the two"),
        ([*NETWORK, "--recipe", "digits", "--rows", "rows.npz"], "expected --recipe or --network, one of the two"),
        (NETWORK, "--rows: expected a file of rows where there is no recipe"),
        ([*NETWORK, "--rows", "two.npz"], r"--rows: expected one array, what the network takes, got \['x', 'y'\]"),
        ([*NETWORK, "--rows", "none.npz"], r"--rows: expected an array of shape \(rows, \.\.\.\), got \(0, 4\)"),
        ([*NETWORK, "--rows", "wide.npz"], r"network: expected to take rows of shape \(7,\): "),
        ([*NETWORK, "--rows", "nan.npz"], "hidden.1: expected finite values at its input over all rows"),
        ([*NETWORK, "--rows", "rows.npz", "--batch-rows", "0"], "--batch-rows: expected at least 1, got 0"),
    ],
    ids=["no network", "two networks", "no rows", "two arrays", "empty", "other rows", "NaN", "no batch"],
)
def test_what_can_t_be_done_is_one_sentence_and_writes_nothing(
    files: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["statistics", "new.pt", "estimated.pt", *arguments])

    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    assert re.match(f"bntrain: {sentence}", line)
    assert not (files / "estimated.pt").exists()


def test_a_folder_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["statistics", "new.pt", "nowhere/estimated.pt", *NETWORK, "--rows", "rows.npz"])

    assert code == 1
    assert capsys.readouterr().err.startswith("bntrain: nowhere/estimated.pt: expected a file that can be written: ")
