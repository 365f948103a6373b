import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training.checkpoints import Checkpoints
from training.errors import CheckpointError
from training.events import Events
from training.state_files import read_state, write_state


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def checkpoints(tmp_path: Path, told: io.StringIO) -> Checkpoints:
    return Checkpoints(tmp_path, Events("json", told))


def cut_off(data: bytes) -> bytes:
    return data[:-1]


def emptied(data: bytes) -> bytes:
    return data[:0]


def changed(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def test_the_last_two_checkpoints_are_kept(checkpoints: Checkpoints) -> None:
    for step in (3, 5, 8):
        checkpoints.save_checkpoint({"step": step}, "")

    steps = [path.name.split("-")[1] for path in sorted(checkpoints.folder.iterdir())]
    assert steps == ["000000000005", "000000000008"]


def test_the_newest_checkpoint_is_that_of_the_most_steps(checkpoints: Checkpoints) -> None:
    for step in (999_999_999, 1_000_000_000):
        checkpoints.save_checkpoint({"step": step}, "")

    newest = checkpoints.newest()

    assert newest is not None
    assert checkpoints.load_checkpoint(newest) == {"step": 1_000_000_000}


def test_an_empty_folder_has_no_newest_checkpoint(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    assert checkpoints.last_step is None


@pytest.mark.parametrize("damage", [cut_off, emptied, changed])
def test_a_damaged_checkpoint_is_told_of_and_removed(
    checkpoints: Checkpoints, told: io.StringIO, damage: Callable[[bytes], bytes]
) -> None:
    for step in (1, 2):
        checkpoints.save_checkpoint({"step": step}, "")
    first, second = sorted(checkpoints.folder.iterdir())
    second.write_bytes(damage(second.read_bytes()))

    newest = checkpoints.newest()

    last = json.loads(told.getvalue().splitlines()[-1])
    assert newest == first
    assert (last["event"], last["file"], last["used"]) == ("checkpoint-damaged", str(second), str(first))
    assert list(checkpoints.folder.iterdir()) == [first]


def test_nothing_is_looked_at_before_the_newest_that_is_whole(checkpoints: Checkpoints, told: io.StringIO) -> None:
    for step in (1, 2):
        checkpoints.save_checkpoint({"step": step}, "")
    first, second = sorted(checkpoints.folder.iterdir())
    first.write_bytes(b"")

    newest = checkpoints.newest()

    assert newest == second
    assert "checkpoint-damaged" not in told.getvalue()


def test_a_folder_that_can_t_be_written_to_is_told_of(tmp_path: Path, told: io.StringIO) -> None:
    (tmp_path / "file").write_text("")
    checkpoints = Checkpoints(tmp_path / "file", Events("json", told))

    checkpoints.save_checkpoint({"step": 1}, "")

    told_last = json.loads(told.getvalue())
    assert (told_last["event"], told_last["step"], told_last["reason"]) == ("checkpoint-failed", 1, "File exists")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"tensor": torch.arange(3.0), "nested": {"tuple": (1, 2.5, None, "text")}}

    path = write_state(tmp_path, "fitted", state)

    found = read_state(path)
    assert torch.equal(found.pop("tensor"), torch.arange(3.0))
    assert found == {"nested": {"tuple": (1, 2.5, None, "text")}}


def test_a_state_takes_the_place_of_another_of_its_name(tmp_path: Path) -> None:
    write_state(tmp_path, "fitted", {"a": 1})

    path = write_state(tmp_path, "fitted", {"a": 2})

    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone-0123456789abcdef\.pt: expected a file that can be read: No such"):
        read_state(tmp_path / "gone-0123456789abcdef.pt")
