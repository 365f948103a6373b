"""This module times the ways of writing a normalization layer that nothing takes in whole: what ``fast`` rests on."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict

from benchmarks.folding.command import Command
from benchmarks.folding.exports import INPUT, trace_network
from benchmarks.folding.markdown import table
from benchmarks.folding.operator_graphs import SHAPES, write_operators
from benchmarks.folding.rule_networks import SETTINGS
from benchmarks.folding.rule_variants import KEPT, VARIANTS, write_variants
from benchmarks.folding.statistics import train_on
from benchmarks.folding.timing import Ratio, normal_feed, time_in_turn


class VariantsTimed(BaseModel):
    """How long the variants of one graph take.

    Attributes:
        milliseconds: Of the graph with its normalization nodes kept.
        layers: How many layers each variant writes anew.
        ratios: Time of each variant over that.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    milliseconds: float
    layers: dict[str, int]
    ratios: dict[str, Ratio]


def time_variants(name: str, seconds: float) -> VariantsTimed:
    """Time the variants of a network, or of a chain of operators, in turn."""
    if name in SHAPES:
        shape = SHAPES[name]
        variants = write_operators(shape)
        layers = dict.fromkeys(variants, 0)
    else:
        setting = SETTINGS[name]
        shape = setting.shape
        torch.manual_seed(0)
        network = setting.build()
        train_on(network, torch.randn(16, *shape[1:]), negative=setting.negative, zero=0.0)
        _, model = trace_network(network, torch.randn(2, *shape[1:]))
        written, layers = write_variants(model)
        variants = {variant: written[variant] for variant in written if layers[variant] or variant == KEPT}
    times = time_in_turn(variants, normal_feed({INPUT: shape}), seconds=seconds)
    return VariantsTimed(
        case=name,
        milliseconds=times.milliseconds(KEPT),
        layers=layers,
        ratios={variant: times.ratio(variant, over=KEPT) for variant in variants if variant != KEPT},
    )


def _describe(record: VariantsTimed) -> str:
    ratios = ", ".join(
        f"{variant} [{record.layers[variant]}] {ratio.median:.3f}" for variant, ratio in record.ratios.items()
    )
    return f"{record.milliseconds:.3f} ms kept; {ratios}"


def _body(records: list[VariantsTimed]) -> str:
    networks = [record for record in records if record.case in SETTINGS]
    chains = [record for record in records if record.case in SHAPES]
    written = [variant for variant in VARIANTS if variant != KEPT]
    operators = list(dict.fromkeys(variant for record in chains for variant in record.ratios))
    return (
        "Time of a run over that of the same graph with its normalization nodes kept; below 1 where another way of "
        "writing them is faster. In brackets, how many layers are written so.\n\n### Networks\n\n"
        + table(("network", "kept, ms", *written), [_row(record, written) for record in networks])
        + "\n### Operators alone, a rectifier behind each\n\n"
        + table(("shape", "kept, ms", *operators), [_row(record, operators) for record in chains])
    )


def _row(record: VariantsTimed, variants: list[str]) -> list[object]:
    return [record.case, f"{record.milliseconds:.3f}", *(_cell(record, variant) for variant in variants)]


def _cell(record: VariantsTimed, variant: str) -> str:
    if variant not in record.ratios:
        return ""
    ratio, layers = record.ratios[variant], record.layers[variant]
    return f"{ratio.median:.3f} [{layers}]" if layers else f"{ratio.median:.3f}"


def _failures(records: list[VariantsTimed]) -> list[str]:
    del records  # it is a measurement without a bar
    return []


RULES = Command(
    name="rules",
    title="Ways of writing what can't be folded",
    cases=[*SETTINGS, *SHAPES],
    measure=time_variants,
    record=VariantsTimed,
    describe=_describe,
    body=_body,
    failures=_failures,
)
