"""Fits of two processes, as the command starts them, against what one process does."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from tests.training.blobs import CLASSES, FEATURES, network, recipe, splits, state
from training.__main__ import main
from training.checkpointing import Keeping
from training.checkpoints import Checkpoints
from training.data import Rows
from training.drafting import with_population_statistics
from training.errors import DivergenceError
from training.events import Events
from training.fit import Fit, fit
from training.interruption import Interrupted, Interruption
from training.processes import ALONE, Processes

PROCESSES = 2
EXACT: dict[str, Any] = {"precision": "64", "epochs": 1}
"""In 32 bits the order of sums would show."""

DIVERGING = ["fit", "digits-mlp", "--processes", str(PROCESSES)]
DIVERGING += ["--set", "optimizer=sgd", "--set", "learning_rate=1e30", "--set", "epochs=1"]

Found = dict[str, Any]


def interrupting(interruption: Interruption, *, step: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """What has SIGTERM come in a training step."""
    steps = itertools.count(1)

    def begins(module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        if module.training and next(steps) == step:
            interruption.received = signal.SIGTERM

    return begins


def fit_in_runs(folder: Path, processes: Processes, *, stop_at: int) -> tuple[nn.Module, Fit]:
    """Fit blobs, and stop in the midst of an epoch, to go on from the checkpoint; not if ``stop_at`` is 0."""
    while True:
        interruption, mlp = Interruption(), network()
        mlp.register_forward_pre_hook(interrupting(interruption, step=stop_at))
        keeping = Keeping(Checkpoints(folder, Events("silent")), 1e9, interruption)
        try:
            return mlp, fit(
                mlp, splits(), recipe(**EXACT), events=Events("silent"), keeping=keeping, processes=processes
            )
        except Interrupted:
            stop_at = 0


def divergence() -> str:
    """What a process says of a row that is no number, which one of them has."""
    data, linear = splits(), nn.Linear(FEATURES, CLASSES)
    assert isinstance(data.train, Rows)
    data.train.values[5] = torch.nan
    with pytest.raises(DivergenceError) as end:
        fit(linear, data, recipe(batch_rows=48), events=Events("silent"), processes=Processes(PROCESSES))
    return str(end.value)


def run_process(rank: int, folder: str, port: int) -> None:
    """One process's part, left in a file."""
    torch.set_num_threads(1)
    place = {"LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    there = ["--store", f"{folder}/store", "--runs", f"{folder}/runs"]
    found: Found = {"code": int(main([*DIVERGING, *there])), "diverged": divergence()}
    stopped, figures = fit_in_runs(Path(folder) / "checkpoints", Processes(PROCESSES), stop_at=2)
    found["figures"] = astuple(figures)[1:]
    fitted = with_population_statistics(stopped, splits(), figures, None)
    found |= {"state": state(fitted.network), "alone": not torch.distributed.is_initialized()}
    torch.save(found, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    folder = tmp_path_factory.mktemp("processes")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn(run_process, (str(folder), port), PROCESSES)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


def test_a_loss_that_is_no_number_in_one_process_ends_all_at_its_step(found: list[Found]) -> None:
    one, other = (part["diverged"] for part in found)

    assert one == other
    assert one.startswith("epoch 1, step 1: expected a finite loss, got nan")


def test_of_a_failure_that_all_processes_have_one_speaks_for_all(found: list[Found]) -> None:
    assert [part["code"] for part in found] == [1, 0]


def test_a_fit_that_goes_on_in_the_midst_of_an_epoch_has_the_figures_of_one_process(
    found: list[Found], tmp_path: Path
) -> None:
    _, whole = fit_in_runs(tmp_path, ALONE, stop_at=0)

    for part in found:
        assert part["figures"] == pytest.approx(astuple(whole)[1:], rel=1e-9)


def test_population_statistics_are_those_of_one_process_in_all(found: list[Found], tmp_path: Path) -> None:
    mlp, figures = fit_in_runs(tmp_path, ALONE, stop_at=0)

    expected = state(with_population_statistics(mlp, splits(), figures, None).network)

    for part in found:
        assert part["alone"]
        # weights of 64 bits were rounded to 32, which may fall to the other side: 6e-8 of each
        torch.testing.assert_close(part["state"], expected, rtol=1e-5, atol=1e-6)
