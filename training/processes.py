"""This module is several processes that fit one network: each takes its share of every batch.

The command starts the others (``--processes``), with its own command line, when the fit begins. What comes of a fit
depends on the batch, not on how many processes share it, but for the order in which numbers are added up.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, distributed

from models.moments import Moments
from training.data.batches import Share
from training.data.splits import LabelledRows
from training.errors import RecipeError
from training.synchronized import SynchronizedBatchNorm


@dataclass(frozen=True, slots=True)
class Processes:
    """So many processes of this machine that fit a network together, of which this is one."""

    count: int = 1

    def strategy(self) -> Strategy | str:
        """How Lightning is to run them."""
        if self.count == 1:
            return "auto"
        # NCCL moves what is on GPUs, and nothing else; the moments of all rows are merged on the CPU
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        # statistics are the same everywhere: there is nothing to broadcast before every step
        return DDPStrategy(broadcast_buffers=False, process_group_backend=backend)

    def share(self, batch_rows: int) -> Share:
        """Which part of every training batch is this process's.

        Raises:
            RecipeError: If a batch has no equal parts for all, or there are GPUs, but not one for each.
        """
        if torch.cuda.is_available() and self.count > torch.cuda.device_count():
            raise RecipeError(f"--processes: expected at most {torch.cuda.device_count()}, one a GPU, got {self.count}")
        if batch_rows % self.count:
            raise RecipeError(f"batch_rows: expected a multiple of {self.count} processes, got {batch_rows}")
        return Share(rank(), self.count)

    def normalization(self) -> SynchronizedBatchNorm | nullcontext[None]:
        """In this context batch statistics are those of the whole batch."""
        return nullcontext() if self.count == 1 else SynchronizedBatchNorm()

    def refuse_stranger(self) -> None:
        """Raise RecipeError in a process that seems to help another one, but was started by none of these."""
        if rank() != 0 and os.environ.get("WORLD_SIZE") != str(self.count):
            raise RecipeError(f"LOCAL_RANK: expected none in a process that no other of the job started, got {rank()}")


ALONE = Processes()


def rank() -> int:
    """The number of this process; the one numbered 0 started the others, with this in their environment."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def own_device() -> torch.device:
    """Where this process computes: on its own GPU, if there is one."""
    return torch.device("cuda", rank()) if torch.cuda.is_available() else torch.device("cpu")


class MeanOfAll:
    """The mean of a number over all processes, the same in each; other work goes on while it is on its way.

    All processes make one at the same time; each asks for its value, by ``float``, when it wants to.
    """

    def __init__(self, own: Tensor) -> None:
        self._sum, self._count, self._arrival = own, 1, None
        if distributed.is_initialized():
            self._sum, self._count = own.clone(), distributed.get_world_size()
            self._arrival = distributed.all_reduce(self._sum, async_op=True)

    def __float__(self) -> float:
        """The mean, when it has arrived."""
        if self._arrival is not None:
            self._arrival.wait()
            self._arrival = None
        return float(self._sum) / self._count


def part_of(rows: LabelledRows) -> LabelledRows:
    """Which rows this process goes through, where all that are at work now go through all of them once."""
    if not distributed.is_initialized():
        return rows
    return Share(rank(), distributed.get_world_size()).rows_of(rows)


def part() -> None:
    """End what the processes do together; all call it after the last moments are merged, and each is alone then."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def merge_over_processes(moments: Moments) -> Moments:
    """The moments of all processes' values, the same in every process; those given if this one is alone."""
    if not distributed.is_initialized():
        return moments
    own = torch.from_numpy(np.stack([np.full(moments.channels, float(moments.count)), moments.mean, moments.m2]))
    gathered = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, own)
    merged = Moments.empty(moments.channels)
    for part in gathered:
        counts, mean, m2 = part.numpy()
        merged = merged.merge(Moments(int(counts[0]), mean, m2))
    return merged
