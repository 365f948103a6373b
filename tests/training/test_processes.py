"""A job of two processes against the same job of one, by the command that people run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from models.bundle import Bundle
from models.moments import Moments
from models.store import Store
from training.data import Rows
from training.data.batches import Share
from training.errors import RecipeError
from training.processes import Processes, merge_over_processes, part_of

CHANGES = (
    "arguments={widths: [6, 6, 8]}",
    "augment={shift_pixels: 1}",
    "epochs=2",
    "batch_rows=60",
    "average_decay=0.9",
    "precision=64",
)
"""In 32 bits the order of sums grows into other weights within some dozen steps, in one process as well as in two."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a job has left."""

    bundle: Bundle
    epochs: list[dict[str, float]]
    told: str


def run_job(folder: Path, processes: int) -> Job:
    """Run the command to its end."""
    command = [sys.executable, "-m", "training", "fit", "digits", "--processes", str(processes)]
    command += ["--store", str(folder / "store"), "--runs", str(folder / "runs"), "--progress", "json"]
    for change in CHANGES:
        command += ["--set", change]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    return Job(Store(folder / "store").open("digits", 1), [e for e in events if e["event"] == "epoch"], done.stderr)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Job]:
    one, two = (run_job(tmp_path_factory.mktemp("job"), processes) for processes in (1, 2))
    return one, two


def test_two_processes_keep_the_running_statistics_of_one(jobs: tuple[Job, Job]) -> None:
    one, two = (job.bundle.moving_averages() for job in jobs)

    assert len(one) == 3
    for name, average in one.items():
        np.testing.assert_allclose(two[name].mean, average.mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(two[name].variance, average.variance, rtol=1e-5)


def test_two_processes_publish_the_network_of_one(jobs: tuple[Job, Job]) -> None:
    one, two = (job.bundle.parameters() for job in jobs)

    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("measure", ["train_loss", "validation_loss", "validation_accuracy"])
def test_two_processes_have_the_losses_of_one(jobs: tuple[Job, Job], measure: str) -> None:
    one, two = ([epoch[measure] for epoch in job.epochs] for job in jobs)

    assert len(one) == 2
    assert two == pytest.approx(one, rel=1e-3)


def test_one_of_the_processes_speaks_for_both(jobs: tuple[Job, Job]) -> None:
    one, two = ([json.loads(line)["event"] for line in job.told.splitlines()] for job in jobs)

    assert two == one


def test_a_batch_that_has_no_equal_parts_is_refused() -> None:
    with pytest.raises(RecipeError, match="batch_rows: expected a multiple of 3 processes, got 64"):
        Processes(3).share(64)


def test_a_process_that_helps_no_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    for count in (1, 2):
        with pytest.raises(RecipeError, match=r"LOCAL_RANK: expected none in .* no other of the job started, got 1$"):
            Processes(count).refuse_stranger()

    monkeypatch.setenv("WORLD_SIZE", "2")
    Processes(2).refuse_stranger()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says on a machine with two."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_more_processes_than_gpus_are_refused() -> None:
    assert Processes(2).share(6) == Share(0, 2)

    with pytest.raises(RecipeError, match="--processes: expected at most 2, one a GPU, got 3"):
        Processes(3).share(6)


@pytest.mark.usefixtures("two_gpus")
def test_processes_with_gpus_can_merge_what_is_in_main_memory_too() -> None:
    strategy = Processes(2).strategy()

    assert isinstance(strategy, DDPStrategy)
    assert strategy.process_group_backend == "cpu:gloo,cuda:nccl"


def test_parts_of_all_rows_are_all_rows() -> None:
    rows = Rows(torch.arange(11.0)[:, None], torch.arange(11))

    parts = [Share(rank, 3).rows_of(rows) for rank in range(3)]

    assert torch.equal(torch.cat([part.labels for part in parts]), rows.labels)


def test_a_process_alone_has_all_rows_and_moments() -> None:
    rows, moments = Rows(torch.ones(3, 2), torch.arange(3)), Moments.of(np.ones((3, 2)), channel_axis=1)

    assert part_of(rows) is rows
    assert merge_over_processes(moments) is moments
