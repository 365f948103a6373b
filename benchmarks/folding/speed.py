"""This module times folded architectures against torch's own export of them, one row at a time."""

from __future__ import annotations

import statistics

import torch
from pydantic import BaseModel, ConfigDict

from benchmarks.folding.architectures import ARCHITECTURES, architecture
from benchmarks.folding.command import Command
from benchmarks.folding.exports import INPUT, export_by_torch, fold_model, operators, trace_network
from benchmarks.folding.markdown import table
from benchmarks.folding.statistics import build
from benchmarks.folding.timing import Ratio, normal_feed, time_in_turn

EACH_AT_LEAST = 0.97
"""No architecture may be slower than this; what two sessions of one graph differ by is most of it."""

MEDIAN_AT_LEAST = 1.0


class ArchitectureTimed(BaseModel):
    """How fast one architecture is.

    Attributes:
        speedup: Time of torch's export over that of the folded graph; above 1 where the folded graph is faster.
        same_operators: Whether both graphs have the same operators, each equally often.
        normalization_nodes: Left in torch's export, and in the folded graph.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    milliseconds: float
    speedup: Ratio
    same_operators: bool
    normalization_nodes: tuple[int, int]
    nodes: tuple[int, int]


def time_architecture(name: str, seconds: float) -> ArchitectureTimed:
    """Export an architecture by torch and by this project, and time both in turn."""
    known = architecture(name)
    network = build(known)
    rows = torch.randn(2, *known.row_shape)
    theirs = export_by_torch(network, rows)
    _, model = trace_network(network, rows)
    ours = fold_model(model, "fast").model
    times = time_in_turn({"torch": theirs, "ours": ours}, normal_feed({INPUT: (1, *known.row_shape)}), seconds=seconds)
    counts = operators(theirs), operators(ours)
    return ArchitectureTimed(
        name=name,
        milliseconds=times.milliseconds("ours"),
        speedup=times.ratio("torch", over="ours"),
        same_operators=counts[0] == counts[1],
        normalization_nodes=(counts[0]["BatchNormalization"], counts[1]["BatchNormalization"]),
        nodes=(counts[0].total(), counts[1].total()),
    )


def _describe(record: ArchitectureTimed) -> str:
    same = "same operators" if record.same_operators else f"normalization nodes {record.normalization_nodes}"
    return f"{record.speedup} at {record.milliseconds:.2f} ms, {same}, nodes {record.nodes}"


HEADER = (
    "network",
    "ms",
    "speedup (quartiles)",
    "nodes of torch's",
    "of ours",
    "normalization nodes of torch's",
    "of ours",
    "same operators",
)


def _body(records: list[ArchitectureTimed]) -> str:
    if not records:
        return ""
    speedups = [record.speedup.median for record in records]
    return (
        "Time of `torch.onnx.export(..., optimize=True)` over that of the graph folded by default, a row at a time; "
        f"above 1 where ours is faster. Median of {len(records)} architectures: {statistics.median(speedups):.3f}, "
        f"from {min(speedups):.3f} to {max(speedups):.3f}.\n\n" + table(HEADER, map(_row, records))
    )


def _row(record: ArchitectureTimed) -> list[object]:
    same = "yes" if record.same_operators else "no"
    milliseconds = f"{record.milliseconds:.2f}"
    return [record.name, milliseconds, record.speedup, *record.nodes, *record.normalization_nodes, same]


def _failures(records: list[ArchitectureTimed]) -> list[str]:
    failures = [
        f"{record.name}: expected a speedup of at least {EACH_AT_LEAST}, got {record.speedup}"
        for record in records
        if record.speedup.median < EACH_AT_LEAST
    ]
    if records and (median := statistics.median(record.speedup.median for record in records)) < MEDIAN_AT_LEAST:
        failures.append(f"median over all: expected at least {MEDIAN_AT_LEAST}, got {median:.3f}")
    return failures


SPEED = Command(
    name="speed",
    title="Timed against torch's own export",
    cases=[architecture.name for architecture in ARCHITECTURES],
    measure=time_architecture,
    record=ArchitectureTimed,
    describe=_describe,
    body=_body,
    failures=_failures,
)
