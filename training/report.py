"""This module writes for people what became of each normalization layer, and how well the graph agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from models.bundle import Bundle
from models.manifest import FoldingRecord, LayerRecord, VerificationRecord
from training.networks import NetworkDescription


def print_layers(layers: Sequence[LayerRecord]) -> None:
    """A line a layer: its name and kind, its channels, what became of it, where it went or why it stayed."""
    rows = [
        (layer.name, layer.kind, str(layer.channels), layer.placement, layer.into or layer.reason or "")
        for layer in layers
    ]
    _print_table(("layer", "kind", "channels", "placement", "into, or why not"), rows)
    folded = sum(layer.into is not None for layer in layers)
    placements = Counter(layer.placement for layer in layers)
    shares = ", ".join(f"{count} {placement}" for placement, count in placements.most_common())
    print(f"{folded} of {len(layers)} normalization layers folded" + (f": {shares}" if len(placements) > 1 else ""))


def print_folding(record: FoldingRecord) -> None:
    """What became of the graph as a whole: nodes, bytes, speed, and what to look out for."""
    before, after = record.before, record.after
    print(
        f"graph ({record.mode}): {before.nodes} nodes, {before.normalization_nodes} of them normalizations, before; "
        f"{after.nodes}, {after.normalization_nodes} of them, after; "
        f"{_megabytes(before.bytes)} before, {_megabytes(after.bytes)} after; {record.speedup:.2f} times as fast"
    )
    for warning in record.warnings:
        print(f"warning: {warning}")


def print_networks(networks: Sequence[NetworkDescription]) -> None:
    """A line a network: its name, what it is, what it is built with by default."""
    _print_table(("name", "what it is", "arguments"), [(n.name, n.description, n.defaults) for n in networks])
    print("also timm/NAME and torchvision/NAME where those packages are installed, and package.module:factory")


def print_verification(record: VerificationRecord) -> None:
    """A line a tensor: its relative error on each kind of rows."""
    kinds = [f"{check.num_rows} {check.rows} rows" for check in record.checks]
    rows = [
        (kind, agreements[0].name, *(f"{agreement.max_relative_error:.1e}" for agreement in agreements))
        for kind, per_check in (
            ("output", [check.outputs for check in record.checks]),
            ("tap", [check.taps for check in record.checks]),
        )
        for agreements in zip(*per_check, strict=True)
    ]
    print(
        f"largest relative error, {record.runtime} against {record.reference} "
        f"(at most {record.tolerance:g} of outputs, {record.tap_tolerance:g} of taps):"
    )
    _print_table(("kind", "tensor", *kinds), rows)


def print_bundle(bundle: Bundle) -> None:
    """Everything worth knowing after a job."""
    manifest = bundle.manifest
    print_layers(manifest.layers)
    for untracked in manifest.untracked:
        print(f"not watched: {untracked.name}: {untracked.reason}")
    print_folding(manifest.folding)
    print_verification(manifest.verification)
    if manifest.training is not None:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.training.metrics.items())
        print(f"{metrics}, fitted in {manifest.training.seconds:g} s")
    print(f"published {bundle.path}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
