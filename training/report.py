"""This module writes for people what became of each normalization layer, and how well the graph agrees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.bundle import Bundle
from models.manifest import LayerRecord, VerificationRecord


def print_layers(layers: Sequence[LayerRecord]) -> None:
    """A line a layer: its name and kind, its channels, what became of it, where it went or why it stayed."""
    rows = [
        (layer.name, layer.kind, str(layer.channels), layer.placement, layer.into or layer.reason or "")
        for layer in layers
    ]
    _print_table(("layer", "kind", "channels", "placement", "into, or why not"), rows)
    folded = sum(layer.placement != "kept" for layer in layers)
    print(f"{folded} of {len(layers)} normalization layers folded")


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
    print(f"largest relative error, {record.runtime} against {record.reference} (at most {record.tolerance:g}):")
    _print_table(("kind", "tensor", *kinds), rows)


def print_bundle(bundle: Bundle) -> None:
    """Everything worth knowing after a job."""
    manifest = bundle.manifest
    print_layers(manifest.layers)
    print_verification(manifest.verification)
    if manifest.training is not None:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.training.metrics.items())
        print(f"{metrics}, fitted in {manifest.training.seconds:g} s")
    print(f"published {bundle.path}")


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
