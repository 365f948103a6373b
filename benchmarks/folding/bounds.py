"""This module times folded networks against their bound: the same network without its normalization layers.

The bound computes something else, but nothing that folds can be faster than it.
"""

from __future__ import annotations

import copy

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.folding.bound_networks import KINDS, Kind
from benchmarks.folding.command import Command
from benchmarks.folding.exports import INPUT, export_by_torch, fold_model, operators, trace_network
from benchmarks.folding.markdown import table
from benchmarks.folding.statistics import train_on
from benchmarks.folding.timing import Ratio, normal_feed, time_in_turn

AT_MOST = 1.05
"""How many times the bound a folded network may take."""


class KindTimed(BaseModel):
    """How far one kind of network is from its bound."""

    model_config = ConfigDict(frozen=True)

    kind: str
    bound_milliseconds: float
    ours: Ratio
    torch: Ratio
    normalization_nodes: tuple[int, int]


def time_kind(name: str, seconds: float) -> KindTimed:
    """Time the bound, the folded graph and torch's own export of a kind of network in turn."""
    network, rows = build_kind(KINDS[name])
    _, model = trace_network(network, rows)
    graphs = {
        "bound": export_by_torch(without_normalization(network), rows),
        "ours": fold_model(model, "fast").model,
        "torch": export_by_torch(network, rows),
    }
    times = time_in_turn(graphs, normal_feed({INPUT: KINDS[name].shape}), seconds=seconds)
    return KindTimed(
        kind=name,
        bound_milliseconds=times.milliseconds("bound"),
        ours=times.ratio("ours", over="bound"),
        torch=times.ratio("torch", over="bound"),
        normalization_nodes=(
            operators(graphs["torch"])["BatchNormalization"],
            operators(graphs["ours"])["BatchNormalization"],
        ),
    )


def build_kind(kind: Kind) -> tuple[nn.Module, torch.Tensor]:
    """A network of a kind with statistics of its input, and two rows or more of that."""
    torch.manual_seed(0)
    network = kind.build()
    train_on(network, torch.randn(max(16, kind.shape[0]), *kind.shape[1:]))
    return network, torch.randn(max(2, kind.shape[0]), *kind.shape[1:])


def without_normalization(network: nn.Module) -> nn.Module:
    """A copy in which nothing stands where the normalization layers did."""
    bare = copy.deepcopy(network)
    for name, module in list(bare.named_modules()):
        if isinstance(module, _BatchNorm):
            owner, _, field = name.rpartition(".")
            setattr(bare.get_submodule(owner), field, nn.Identity())
    return bare.eval()


def _describe(record: KindTimed) -> str:
    return (
        f"bound {record.bound_milliseconds:.2f} ms, ours {record.ours}, torch {record.torch}, normalization nodes "
        f"{record.normalization_nodes}"
    )


def _body(records: list[KindTimed]) -> str:
    header = ("kind", "bound, ms", "ours / bound", "torch's / bound", "normalization nodes of torch's", "of ours")
    rows = [
        (
            record.kind,
            f"{record.bound_milliseconds:.2f}",
            record.ours,
            record.torch,
            *record.normalization_nodes,
        )
        for record in records
    ]
    return (
        "The bound is the same network with its normalization layers deleted, exported by torch. The last kind has no "
        "exact rule that leaves nothing: zero padding lacks the shift.\n\n" + table(header, rows)
    )


def _failures(records: list[KindTimed]) -> list[str]:
    return [
        f"{record.kind}: expected at most {AT_MOST} times the bound, got {record.ours}"
        for record in records
        if KINDS[record.kind].held_to_bound and record.ours.median > AT_MOST
    ]


BOUNDS = Command(
    name="bounds",
    title="Timed against the bound",
    cases=list(KINDS),
    measure=time_kind,
    record=KindTimed,
    describe=_describe,
    body=_body,
    failures=_failures,
)
