"""This module verifies folding over all architectures, in both modes, against torch: outputs and taps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import get_args

import onnx_ir as ir
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from benchmarks.folding.architectures import ARCHITECTURES, architecture
from benchmarks.folding.command import Command
from benchmarks.folding.exports import fold_model, operators, trace_network
from benchmarks.folding.markdown import table
from benchmarks.folding.rounding import Rounding, measure_rounding
from benchmarks.folding.statistics import build
from folding.errors import VerificationError, one_line
from folding.folded import FoldedGraph
from folding.verify import OUTPUT_TOLERANCE, TAP_TOLERANCE, verify
from models.manifest import FoldMode, Placement, VerificationRecord
from training.errors import TrainingError
from training.references import TorchReference
from training.tracing import Signature

ROWS = 4
"""Rows of the example; what is verified are random rows like them, and more of them."""


class Verified(BaseModel):
    """What came of one architecture in one mode; what is not known because of a failure is None.

    Attributes:
        beyond_tolerance: How many tensors are further off torch than the tolerance, and were compared with float64.
        over_rounding: How many times as far off float64 as torch the graph is, the worst of those; 1 is just as far.
        rounding: Where it failed.
    """

    model_config = ConfigDict(frozen=True)

    mode: FoldMode
    placements: dict[Placement, int] = {}
    nodes_before: int | None = None
    nodes_after: int | None = None
    normalization_nodes_after: int | None = None
    output_error: float | None = None
    tap_error: float | None = None
    beyond_tolerance: int = 0
    over_rounding: float | None = None
    seconds: float
    failure: str | None = None
    rounding: Rounding | None = None


class ArchitectureVerified(BaseModel):
    """What came of one architecture."""

    model_config = ConfigDict(frozen=True)

    name: str
    family: str
    modes: tuple[Verified, ...]


def verify_architecture(name: str, seconds: float) -> ArchitectureVerified:
    """Export an architecture, fold it in both modes, and compare each with torch."""
    del seconds  # it takes as long as it takes
    known = architecture(name)
    network = build(known)
    rows = torch.randn(ROWS, *known.row_shape, generator=torch.Generator().manual_seed(1))
    started = time.perf_counter()
    modes: Sequence[FoldMode] = get_args(FoldMode)
    try:
        signature, model = trace_network(network, rows)
    except TrainingError as error:
        failed = [Verified(mode=mode, seconds=time.perf_counter() - started, failure=one_line(error)) for mode in modes]
        return ArchitectureVerified(name=name, family=known.family, modes=tuple(failed))
    verified = [verify_mode(network, signature, model, rows, mode=mode) for mode in modes]
    return ArchitectureVerified(name=name, family=known.family, modes=tuple(verified))


def verify_mode(network: nn.Module, signature: Signature, model: ir.Model, rows: Tensor, *, mode: FoldMode) -> Verified:
    """Fold a traced network, which stays as it is, and compare it with torch."""
    started = time.perf_counter()
    try:
        graph = fold_model(model, mode)
    except Exception as error:  # noqa: BLE001  whatever folding raises is a result
        failure = f"{type(error).__name__}: {one_line(error)}"
        return Verified(mode=mode, seconds=time.perf_counter() - started, failure=failure)
    return verify_graph(network, signature, graph, rows, started=started)


def verify_graph(
    network: nn.Module, signature: Signature, graph: FoldedGraph, rows: Tensor, *, started: float
) -> Verified:
    """Compare a folded graph with torch; where they disagree, measure how far each is off for rounding alone."""
    record, failure, rounding = None, None, None
    try:
        record = verify(TorchReference(network, signature), graph, [rows.numpy()], real=False, seed=0)
    except VerificationError as error:
        failure = one_line(error)
        rounding = measure_rounding(network, signature, graph, rows)
    before, after = operators(graph.unfolded), operators(graph.model)
    return Verified(
        mode=graph.mode,
        placements=Counter(layer.placement for layer in graph.layers),
        nodes_before=before.total(),
        nodes_after=after.total(),
        normalization_nodes_after=after["BatchNormalization"],
        output_error=None if record is None else _worst(record, "outputs"),
        tap_error=None if record is None else _worst(record, "taps"),
        beyond_tolerance=len(excesses := [] if record is None else _excesses(record)),
        over_rounding=max(excesses, default=None),
        seconds=time.perf_counter() - started,
        failure=failure,
        rounding=rounding,
    )


def _excesses(record: VerificationRecord) -> list[float]:
    agreements = [agreement for check in record.checks for agreement in (*check.outputs, *check.taps)]
    return [a.exact_error / a.rounding_error for a in agreements if a.exact_error is not None and a.rounding_error]


def _worst(record: VerificationRecord, which: str) -> float:
    return max((a.max_relative_error for check in record.checks for a in getattr(check, which)), default=0.0)


def _describe(record: ArchitectureVerified) -> str:
    return "; ".join(
        f"{v.mode} {v.failure or 'ok'} {dict(v.placements)} out={_figure(v.output_error)} tap={_figure(v.tap_error)}"
        f" beyond={v.beyond_tolerance} over={v.over_rounding} {v.seconds:.1f} s {v.rounding or ''}"
        for v in record.modes
    )


def _body(records: list[ArchitectureVerified]) -> str:
    families = len({record.family for record in records})
    parts = [
        f"{len(records)} architectures of {families} families. Errors are the largest of all outputs and of all taps, "
        f"relative to the largest value of the tensor. Beyond {OUTPUT_TOLERANCE:g} of an output or {TAP_TOLERANCE:g} "
        "of a tap, both are compared with torch in float64: 'over rounding' is how many times as far off that the "
        "folded graph is as torch in float32 is."
    ]
    for index, mode in enumerate(get_args(FoldMode)):
        rows = [(record, record.modes[index]) for record in records]
        layers = sum(sum(verified.placements.values()) for _, verified in rows)
        failed = sum(verified.failure is not None for _, verified in rows)
        parts.append(f"### {mode.capitalize()}\n\n{layers} layers; {failed} of {len(rows)} networks failed.")
        parts.append(table(HEADER, [_row(record, verified) for record, verified in rows]))
    return "\n\n".join(parts)


HEADER = (
    "network", "family", "layers", *get_args(Placement), "nodes before", "after", "normalization nodes after",
    "output error", "tap error", "beyond tolerance", "over rounding", "seconds",
)  # fmt: skip


def _row(record: ArchitectureVerified, verified: Verified) -> list[object]:
    failed = verified.failure is not None
    return [
        record.name,
        record.family,
        sum(verified.placements.values()),
        *(verified.placements.get(placement, 0) for placement in get_args(Placement)),
        *(verified.nodes_before, verified.nodes_after, verified.normalization_nodes_after),
        "**failed**" if failed else _figure(verified.output_error),
        "" if failed else _figure(verified.tap_error),
        verified.beyond_tolerance,
        "" if verified.over_rounding is None else f"{verified.over_rounding:.2f}",
        f"{verified.seconds:.1f}",
    ]


def _figure(error: float | None) -> str:
    return "" if error is None else f"{error:.1e}"


def _failures(records: list[ArchitectureVerified]) -> list[str]:
    return [
        f"{record.name}, {verified.mode}: {verified.failure} {verified.rounding or ''}".rstrip()
        for record in records
        for verified in record.modes
        if verified.failure is not None
    ]


VERIFY = Command(
    name="verify",
    title="Verified",
    cases=[architecture.name for architecture in ARCHITECTURES],
    measure=verify_architecture,
    record=ArchitectureVerified,
    describe=_describe,
    body=_body,
    failures=_failures,
)
