"""This module writes for people what became of each normalization layer, and how well the graph agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from models.bundle import Bundle
from models.draft import BundleDraft
from models.errors import StoreError
from models.manifest import FoldingRecord, LayerRecord, Manifest, VerificationRecord
from models.recalibration import LayerChangeRecord, PredictionsRecord, RecalibrationRecord
from models.store import Store

if TYPE_CHECKING:  # torch may not be installed where a file is imported or a version recalibrated
    from training.matching import ModuleDescription
    from training.networks import NetworkDescription


def print_layers(layers: Sequence[LayerRecord]) -> None:
    """A line a layer: its name and kind, its channels, what became of it, where it went or why it stayed."""
    rows = [
        (layer.name, layer.kind, str(layer.channels), layer.placement, layer.into or layer.reason or "")
        for layer in layers
    ]
    print_table(("layer", "kind", "channels", "placement", "into, or why not"), rows)
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
    print_table(("name", "what it is", "arguments"), [(n.name, n.description, n.defaults) for n in networks])
    print("also timm/NAME and torchvision/NAME where those packages are installed, and package.module:factory")


def print_modules(modules: Sequence[ModuleDescription]) -> None:
    """A line a module that patterns may stand for: its name, its class, what it is to normalization."""
    print_table(("name", "type", "what it is"), [(module.name, module.type, module.role) for module in modules])
    print("patterns of `normalize` in a recipe stand for these" if modules else "nothing here can be normalized")


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
    print_table(("kind", "tensor", *kinds), rows)


def print_changes(layers: Sequence[LayerChangeRecord]) -> None:
    """A line a layer: how far its statistics moved, in training deviations and as ratios of variances."""
    rows = [
        (
            layer.name,
            f"{layer.mean_absolute_shift:.3f}",
            f"{layer.max_absolute_shift:.3f}",
            f"{layer.min_ratio:.3f}",
            f"{layer.max_ratio:.3f}",
            "" if layer.mean_symmetric_kl is None else f"{layer.mean_symmetric_kl:.3f}",
        )
        for layer in layers
    ]
    print_table(("layer", "mean |z|", "max |z|", "min r", "max r", "mean J"), rows)


def print_recalibration(record: RecalibrationRecord) -> None:
    """A line a layer, how far its statistics moved; and for every output, how far its answers did."""
    print_changes(record.layers)
    prior = f", and a prior of {record.prior_rows}" if record.prior_rows else ""
    print(f"from version {record.source_version}, {record.rows} rows of {record.data}{prior}")
    for output in record.outputs:
        print(f"{output.name}: differs by {output.relative_difference:.3g} of its largest value")
        if output.predictions is not None:
            _print_predictions(output.name, output.predictions)


def _print_predictions(name: str, found: PredictionsRecord) -> None:
    print(f"{name}: {100 * found.agreement:.1f} % of the rows are predicted as before")
    classes = list(dict.fromkeys([*found.before, *found.after]))
    rows = [(label, str(found.before.get(label, 0)), str(found.after.get(label, 0))) for label in classes]
    print_table(("predicted", "before", "after"), rows)
    if found.accuracy_before is not None and found.accuracy_after is not None:
        print(f"{name}: accuracy {found.accuracy_before:.4f} before, {found.accuracy_after:.4f} after")


def print_proof(made: Manifest | BundleDraft) -> None:
    """What became of every layer and of the graph, and how well it agrees with what it was made from."""
    print_layers(made.layers)
    for untracked in made.untracked:
        print(f"not watched: {untracked.name}: {untracked.reason}")
    print_folding(made.folding)
    print_verification(made.verification)


def print_bundle(bundle: Bundle) -> None:
    """Everything worth knowing after a job."""
    print_proof(bundle.manifest)
    training = bundle.manifest.training
    if training is not None:
        print(f"{format_metrics(training.metrics)}, fitted in {training.seconds:g} s")
    print_published(bundle)


def print_published(bundle: Bundle) -> None:
    """Where a version is, and whether another one is pinned."""
    model = bundle.path.parent
    try:
        pinned = Store(model.parent).pinned_version(model.name)
    except StoreError:  # what is no pin holds nothing
        pinned = None
    held = pinned not in (None, bundle.manifest.version)
    print(f"published {bundle.path}" + (f"; version {pinned} answers by default until it is promoted" if held else ""))


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Names and figures in one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as they have to be."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
