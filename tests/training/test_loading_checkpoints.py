"""Checkpoints: how they may be wrapped, and what is refused."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.examples import build
from training.errors import CheckpointError
from training.loading import load_checkpoint

State = dict[str, Tensor]


class RunsCode:
    """What a hostile checkpoint holds: unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What unpickling calls."""
        return Path.touch, (self.marker,)


class Wrapped(nn.Module):
    """A network that has the wrappers' own name before every parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.module = small()

    def forward(self, rows: Tensor) -> Tensor:
        """What is inside computes it."""
        output: Tensor = self.module(rows)
        return output


def small(seed: int = 0) -> nn.Module:
    """A linear and a normalization layer, seven tensors in all."""
    return build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), seed=seed)


def saved(content: object, path: Path) -> Path:
    """The content as ``torch.save`` writes it."""
    torch.save(content, path)
    return path


def refusal(content: object, path: Path, network: nn.Module | None = None) -> str:
    """What is said against a checkpoint; the network must stay as it was."""
    network = network or small(seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(network, saved(content, path))
    assert same(network.state_dict(), before)
    sentence = str(refused.value)
    assert sentence.startswith(f"{path}: ")
    return sentence.removeprefix(f"{path}: ")


def same(found: State, expected: State) -> bool:
    """Whether two states are equal to the bit."""
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "optimizer_states": [{"step": 1}], "hyper_parameters": {}},
        lambda state: {"model_state_dict": state, "loss": 0.5},
        lambda state: {"network": state, "figures": (1.0, 0.5)},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {"state_dict": {"model": state}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"state_dict": {f"net.body.{name}": tensor for name, tensor in state.items()}, "epoch": 3},
    ],
    ids=[
        "plain",
        "state_dict beside what lightning keeps",
        "model_state_dict",
        "network",
        "model",
        "wrapped twice",
        "DistributedDataParallel",
        "compiled",
        "compiled, then distributed",
        "distributed, then compiled",
        "wrapped and distributed",
        "a part of a Lightning module",
    ],
)
def test_a_checkpoint_is_loaded_whole_however_it_is_wrapped(wrap: Callable[[State], object], tmp_path: Path) -> None:
    source, network = small(seed=1), small(seed=2)

    load_checkpoint(network, saved(wrap(source.state_dict()), tmp_path / "file.pt"))

    assert same(network.state_dict(), source.state_dict())


@pytest.mark.parametrize("prefix", ["", "module."], ids=["plain", "distributed"])
def test_a_prefix_that_the_network_has_itself_stays(prefix: str, tmp_path: Path) -> None:
    source, network = Wrapped(), Wrapped()
    state = {f"{prefix}{name}": tensor + 1 for name, tensor in source.state_dict().items()}

    load_checkpoint(network, saved(state, tmp_path / "file.pt"))

    assert same(network.state_dict(), {name: tensor + 1 for name, tensor in source.state_dict().items()})


def test_a_checkpoint_from_before_batches_were_counted_is_loaded(tmp_path: Path) -> None:
    source, network = small(seed=1), small(seed=2)
    state = {name: tensor for name, tensor in source.state_dict().items() if "num_batches" not in name}

    load_checkpoint(network, saved(state, tmp_path / "file.pt"))

    assert same(network.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("0.weight"), "expected the parameters of the network, the file lacks 0.weight"),
        (
            lambda s: s.update({f"2.{i}": s["0.bias"] for i in range(5)}),
            "expected the parameters of the network, the file has besides 2.0, 2.1, 2.2 and 2 more",
        ),
        (
            lambda s: s.update({"2.bias": s.pop("0.bias")}),
            "expected the parameters of the network, the file lacks 0.bias and has besides 2.bias",
        ),
        (lambda s: s.update({"0.bias": torch.zeros(5)}), "0.bias: expected shape (4,), got (5,)"),
        (lambda s: s.update({"0.bias": [0.0] * 4}), "0.bias: expected a tensor, got list"),
        (lambda s: s.update(epoch=3), "epoch: expected a tensor, got int"),
        (lambda s: s.clear(), "expected tensors by name, got none"),
    ],
    ids=["missing", "extra", "renamed", "another shape", "a list", "a number beside them", "empty"],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_key(
    change: Callable[[dict[str, Any]], object], sentence: str, tmp_path: Path
) -> None:
    state = dict(small().state_dict())
    change(state)

    said = refusal(state, tmp_path / "file.pt")

    assert said == sentence


def test_a_checkpoint_of_one_tensor_is_refused(tmp_path: Path) -> None:
    said = refusal(torch.zeros(3), tmp_path / "file.pt")

    assert said == "expected tensors by name, got Tensor"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_checkpoint_is_not_run(zipped: bool, tmp_path: Path) -> None:
    path, marker = tmp_path / "file.pt", tmp_path / "marker"
    torch.save({"0.weight": RunsCode(marker)}, path, _use_new_zipfile_serialization=zipped)

    with pytest.raises(CheckpointError, match=rf"^{re.escape(str(path))}: expected tensors alone, .* could run code"):
        load_checkpoint(small(), path)

    assert not marker.exists()


def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "file.pt", tmp_path / "marker"
    path.write_bytes(pickle.dumps(RunsCode(marker)))

    with pytest.raises(CheckpointError):
        load_checkpoint(small(), path)

    assert not marker.exists()


def test_a_whole_network_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    said = refusal(small(), tmp_path / "file.pt")

    assert said.endswith("; save network.state_dict() instead")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_truncated_checkpoint_is_refused(zipped: bool, share: float, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save(small().state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(CheckpointError, match=r"file\.pt: expected a whole file that torch\.save wrote, .*\(.+\)$"):
        load_checkpoint(small(), path)


def test_a_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    path.write_text("epoch,loss\n1,0.5\n")

    with pytest.raises(CheckpointError, match=r"file\.pt: expected "):
        load_checkpoint(small(), path)


@pytest.mark.parametrize("name", ["none.pt", "none.safetensors", "."])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r": expected a file, there is none$"):
        load_checkpoint(small(), tmp_path / name)


def test_safetensors_are_asked_for_where_they_are_not_installed(tmp_path: Path) -> None:
    if find_spec("safetensors") is not None:
        pytest.skip("safetensors is installed")
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"")

    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(small(), path)

    assert str(refused.value) == f"{path}: expected the package safetensors to be installed, it is not"
