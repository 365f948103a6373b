import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger

from tests.training.stopped import STEPS, Fitted, fit_stopped, fit_until, recipe, splits, start
from training.errors import CheckpointError
from training.events import Events
from training.fit import fit
from training.interruption import Interrupted
from training.state_files import read_state, write_state


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def events(told: io.StringIO) -> Events:
    return Events("json", told)


@pytest.fixture(scope="module")
def whole() -> Fitted:
    """What a fit leaves that is never stopped, and keeps nothing."""
    network = start()
    return Fitted(network, fit(network, splits(), recipe(), events=Events("json", io.StringIO())))


def names(told: io.StringIO) -> list[str]:
    return [event["event"] for event in lines(told)]


def lines(told: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.getvalue().splitlines()]


def assert_same(found: Fitted, expected: Fitted) -> None:
    """Bit by bit: parameters, statistics, counts, and the figures of the last epoch."""
    there = expected.network.state_dict()
    assert {name: torch.equal(tensor, there[name]) for name, tensor in found.network.state_dict().items()} == (
        dict.fromkeys(there, True)
    )
    assert found.figures.train_loss == expected.figures.train_loss
    assert found.figures.validation_accuracy == expected.figures.validation_accuracy


@pytest.mark.parametrize(
    "stops",
    [[1], [3], [STEPS], [STEPS + 1], [2 * STEPS], [2, 1, 1], [STEPS, STEPS], [1] * 8, [3 * STEPS - 1]],
    ids=str,
)
def test_a_fit_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, events: Events, whole: Fitted, stops: list[int]
) -> None:
    found = fit_stopped(tmp_path, stops, events)

    assert_same(found, whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"average_decay": 0.9},
        {"schedule": "constant", "patience_epochs": 1, "epochs": 8},
        {"average_decay": 0.9, "patience_epochs": 1, "epochs": 6, "schedule": "constant"},
        {"precision": "bf16-mixed", "max_gradient_norm": 0.5, "optimizer": "sgd", "schedule": "cosine"},
    ],
    ids=str,
)
def test_whatever_else_a_recipe_asks_for_goes_on_too(tmp_path: Path, events: Events, changes: dict[str, Any]) -> None:
    network, asked = start(), recipe(**changes)
    expected = Fitted(network, fit(network, splits(), asked, events=events))

    found = fit_stopped(tmp_path, [3, STEPS - 3, 2], events, of=asked)

    assert_same(found, expected)
    assert found.figures.epochs == expected.figures.epochs


def test_keeping_a_fit_does_not_change_it(tmp_path: Path, events: Events, whole: Fitted) -> None:
    found = fit_until(tmp_path, 0, events, every_s=0.0)

    assert_same(found, whole)


def test_a_fit_goes_on_at_the_step_after_the_one_that_it_was_stopped_in(
    tmp_path: Path, events: Events, told: io.StringIO
) -> None:
    fit_stopped(tmp_path, [STEPS + 2], events)

    (resumed,) = (line for line in lines(told) if line["event"] == "resumed")
    epochs = [line["epoch"] for line in lines(told) if line["event"] == "epoch"]
    assert resumed["step"] == STEPS + 2
    assert epochs == [1, 2, 3]


def test_a_signal_in_the_last_step_of_an_epoch_waits_for_its_validation(
    tmp_path: Path, events: Events, told: io.StringIO
) -> None:
    with pytest.raises(Interrupted):
        fit_until(tmp_path, STEPS, events)

    assert names(told) == ["started", "epoch", "checkpoint"]
    assert lines(told)[-1]["step"] == STEPS


def test_a_signal_in_the_last_step_of_all_lets_the_fit_end(tmp_path: Path, events: Events, whole: Fitted) -> None:
    found = fit_until(tmp_path, 3 * STEPS, events)

    assert_same(found, whole)


def test_checkpoints_are_as_frequent_as_asked_for(tmp_path: Path, events: Events, told: io.StringIO) -> None:
    fit_until(tmp_path, 0, events, every_s=0.0)

    steps = [line["step"] for line in lines(told) if line["event"] == "checkpoint"]
    assert steps == list(range(1, 3 * STEPS))  # what comes after the last step is no checkpoint


def test_time_adds_up_over_runs(tmp_path: Path, events: Events) -> None:
    first = fit_until(tmp_path, 0, events, every_s=0.0)
    (path, *_) = sorted(tmp_path.glob("step-*"), reverse=True)
    kept = torch.load(path, weights_only=True)["callbacks"]["Stopwatch"]["seconds"]

    found = fit_until(tmp_path, 0, events)

    assert first.figures.seconds > kept > 0
    assert found.figures.seconds > kept


def test_a_damaged_checkpoint_is_told_of_and_the_one_before_is_gone_on_from(
    tmp_path: Path, events: Events, told: io.StringIO, whole: Fitted
) -> None:
    with pytest.raises(Interrupted):
        fit_until(tmp_path, 6, events, every_s=0.0)
    newest = max(tmp_path.glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:-1])

    found = fit_until(tmp_path, 0, events)

    (damaged,) = (line for line in lines(told) if line["event"] == "checkpoint-damaged")
    (resumed,) = (line for line in lines(told) if line["event"] == "resumed")
    assert damaged["file"] == str(newest)
    assert resumed["step"] == 5
    assert_same(found, whole)


def test_without_a_checkpoint_that_is_whole_a_fit_begins_anew(
    tmp_path: Path, events: Events, told: io.StringIO, whole: Fitted
) -> None:
    with pytest.raises(Interrupted):
        fit_until(tmp_path, 6, events, every_s=0.0)
    for path in tmp_path.glob("step-*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    found = fit_until(tmp_path, 0, events)

    assert names(told).count("checkpoint-damaged") == 2
    assert names(told).count("started") == 2
    assert_same(found, whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for no checkpoint."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], check=False)  # noqa: S607
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)  # noqa: S607


def test_a_full_disk_is_told_of_and_ends_no_fit(
    small_disk: Path, events: Events, told: io.StringIO, whole: Fitted
) -> None:
    found = fit_until(small_disk, 0, events)

    failed = [line for line in lines(told) if line["event"] == "checkpoint-failed"]
    assert [line["reason"] for line in failed] == ["No space left on device"]  # the next would be due much later
    assert failed[0]["file"] == f"{small_disk}/step-{STEPS:012d}"
    assert list(small_disk.iterdir()) == []
    assert_same(found, whole)


def test_a_disk_that_fills_up_keeps_the_checkpoint_that_there_is(
    small_disk: Path, events: Events, told: io.StringIO, whole: Fitted
) -> None:
    subprocess.run(["mount", "-o", "remount,size=64k", small_disk], check=True)  # noqa: S607
    with pytest.raises(Interrupted):
        fit_until(small_disk, 2, events)
    kept = list(small_disk.iterdir())
    free = os.statvfs(small_disk)
    (small_disk / "others").write_bytes(b"x" * free.f_bavail * free.f_bsize)
    with pytest.raises(Interrupted):
        fit_until(small_disk, 3, events)

    left = [path for path in small_disk.iterdir() if path.name != "others"]
    (small_disk / "others").unlink()
    found = fit_until(small_disk, 0, events)

    assert left == kept
    assert [line["step"] for line in lines(told) if line["event"] == "checkpoint-failed"] == [STEPS, 5]
    assert_same(found, whole)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, events: Events) -> None:
    with pytest.raises(Interrupted):
        fit_until(tmp_path, 1, events)
    (path,) = tmp_path.iterdir()
    kept = read_state(path)
    del kept["state_dict"]["network.layers.4.bias"]
    write_state(tmp_path, "step-000000000002", kept)

    with pytest.raises(CheckpointError, match=r"^the checkpoint is of another network: .+Missing .+layers\.4\.bias"):
        fit_until(tmp_path, 0, events)


class Signalling(DummyLogger):
    """Sends SIGTERM when the fit is about to begin, and Lightning has taken it."""

    def save(self) -> None:
        """Lightning asks for it before the first step, and after others."""
        if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_only_lightning_gets_asks_to_leave_too(events: Events) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(Interrupted) as raised:
            fit(start(), splits(), recipe(batch_rows=32), loggers=[Signalling()], events=events)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert raised.value.number == signal.SIGTERM


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path, events: Events) -> None:
    write_state(tmp_path, "step-000000000001", {"step": print})

    with pytest.raises(CheckpointError, match="expected tensors and plain values"):
        fit_until(tmp_path, 0, events)
