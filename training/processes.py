"""This module is several processes that fit one network: each takes its share of every batch.

The command starts the others itself (``--processes``), with its own command line; or ``torchrun`` has started all of
them, on one machine or several. What comes of a fit depends on the batch, not on how many processes share it, but for
the order in which float32 is added up.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed

from models.moments import Moments
from training.data.batches import Share
from training.data.splits import LabelledRows
from training.errors import RecipeError
from training.synchronized import SynchronizedBatchNorm


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes fit a network, and on how many machines.

    Attributes:
        per_node: Processes on every machine.
        nodes: Machines.
    """

    per_node: int = 1
    nodes: int = 1

    @classmethod
    def wanted(cls, processes: int) -> Processes:
        """So many on this machine; those of ``torchrun`` where it has started this one.

        Raises:
            RecipeError: If ``torchrun`` has started another number than is wanted.
        """
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls(processes)
        started = cls(int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["GROUP_WORLD_SIZE"]))
        if processes not in (1, started.count):
            raise RecipeError(f"--processes: expected {started.count}, as torchrun has started, got {processes}")
        return started

    @property
    def devices(self) -> int | Literal["auto"]:
        """How many devices of this machine Lightning is to use; one process finds a GPU by itself."""
        return "auto" if self.count == 1 else self.per_node

    @property
    def count(self) -> int:
        """Processes on all machines."""
        return self.per_node * self.nodes

    def strategy(self) -> Strategy | str:
        """How Lightning is to run them."""
        # statistics are the same everywhere: there is nothing to broadcast before every step
        return "auto" if self.count == 1 else DDPStrategy(broadcast_buffers=False)

    def share(self, batch_rows: int) -> Share:
        """Which part of every training batch is this process's.

        Raises:
            RecipeError: If a batch has no equal parts for all.
        """
        if batch_rows % self.count:
            raise RecipeError(f"batch_rows: expected a multiple of {self.count} processes, got {batch_rows}")
        return Share(rank(), self.count)

    def part(self, rows: LabelledRows) -> LabelledRows:
        """Which rows this process goes through where all together go through all of them once."""
        return rows if self.count == 1 else rows.select(Share(rank(), self.count).of(torch.arange(len(rows))))

    def normalization(self) -> SynchronizedBatchNorm | nullcontext[None]:
        """In this context batch statistics are those of the whole batch."""
        return nullcontext() if self.count == 1 else SynchronizedBatchNorm()


ALONE = Processes()


def rank() -> int:
    """The number of this process; the one numbered 0 speaks for all."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


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
