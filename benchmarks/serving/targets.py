"""This module is what the service is meant to reach, and whether the last runs say that it does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving import decoding, starting
from benchmarks.serving.contenders import FLOOR, OURS, Contender
from benchmarks.serving.medians import Median
from benchmarks.serving.observed import BY_BUDGET, EVERY_ROW, OFF
from benchmarks.serving.results import Comparison, Figure
from benchmarks.serving.rounds import CONNECTIONS, ROUNDS_A_START, SESSION, closed_case, session_case

RATE = "requests_per_s"
TRITON = "Triton"
"""How the names of its set-ups begin; all other peers are Python servers."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target.

    Attributes:
        target: What is to be reached.
        figure: What was measured.
        held: Whether it was reached.
    """

    target: str
    figure: str
    held: bool


def judge(runs: Mapping[str, Comparison]) -> list[Verdict]:
    """Every target of which something was measured; by command, its last run."""
    judges: Sequence[tuple[str, Callable[[Comparison], Iterator[Verdict]]]] = (
        ("peers", _peers),
        ("serve", _floor),
        ("serve", _session),
        ("observe", _observe),
        ("decode", _decode),
        ("start", _start),
    )
    return [verdict for command, judge_run in judges if command in runs for verdict in judge_run(runs[command])]


def fastest(run: Comparison, case: str, names: Sequence[str]) -> str:
    """Who of these answered most requests a second in a case."""
    return max(names, key=lambda name: run.median(Figure(case, name, RATE)))


def floors(run: Comparison, case: str) -> list[str]:
    """The floors that were measured in a case."""
    return [name for name in run.contenders(case) if name.startswith(FLOOR.name)]


def session_figure(run: Comparison, network: str, most_rows: int) -> Figure:
    """Rows a second of ``session.run``, with the batch of at most so many rows that it is fastest with."""
    cases = [case for case in run.cases if case.startswith(session_case(network, 0)[:-1])]
    fitting = [case for case in cases if int(case.rpartition(" ")[2]) <= most_rows]
    figures = [Figure(case, SESSION, "rows_per_s") for case in fitting]
    return max(figures, key=run.median)


def _peers(run: Comparison) -> Iterator[Verdict]:
    cases = [closed_case("cnn", "json", connections) for connections in CONNECTIONS]
    for label, bar, is_meant in (
        ("the best Python peer", 2.5, lambda name: not name.startswith((TRITON, OURS.name, FLOOR.name))),
        ("Triton", 2.0, lambda name: name.startswith(TRITON)),
    ):
        ratios = {}
        for case in cases:
            if names := [name for name in run.contenders(case) if is_meant(name)]:
                best = fastest(run, case, names)
                ratios[case] = best, run.ratio(Figure(case, OURS.name, RATE), Figure(case, best, RATE))
        if ratios:
            yield Verdict(
                f"CNN, JSON: requests/s at least {bar:g} times those of {label}",
                "; ".join(f"{ratio:.2f} ({best})" for best, ratio in ratios.values()),
                all(ratio >= bar for _, ratio in ratios.values()),
            )


def _floor(run: Comparison) -> Iterator[Verdict]:
    cases = [case for connections in CONNECTIONS if (case := closed_case("cnn", "binary", connections)) in run.cases]
    if cases:
        ratios = [run.ratio(Figure(case, OURS.name, RATE), Figure(case, FLOOR.name, RATE)) for case in cases]
        yield _at_least("CNN, binary: requests/s at least 0.85 of the floor's", ratios, 0.85)


def _session(run: Comparison) -> Iterator[Verdict]:
    four, one = closed_case("resnet18", "binary", 4), closed_case("resnet18", "binary", 1)
    if four in run.cases:
        ratio = run.ratio(Figure(four, OURS.name, RATE), session_figure(run, "resnet18", 4))
        target = "ResNet-18, binary, 4 connections: requests/s at least 0.95 of the rows/s of session.run"
        yield _at_least(target, [ratio], 0.95)
    if one in run.cases:
        alone = Figure(session_case("resnet18", 1), SESSION, "run_ms")
        added = run.difference(Figure(one, OURS.name, "p50_ms"), alone)
        target = "ResNet-18, binary, 1 connection: median latency at most 1.5 ms above that of session.run"
        yield Verdict(target, f"{added:.2f} ms", added <= 1.5)


def _observe(run: Comparison) -> Iterator[Verdict]:
    """Over all loads: processes that are alike differ for as long as they live, so a start has one figure."""

    def ratios(network: str, contender: Contender) -> list[float]:
        cases = [case for case in run.cases if case.startswith(f"{network} ")]
        by_case = [
            run.ratios_by_start(Figure(case, contender.name, RATE), Figure(case, OFF.name, RATE), ROUNDS_A_START)
            for case in cases
        ]
        return [statistics.median(of_start) for of_start in zip(*by_case, strict=True)]

    if measured := ratios("cnn", BY_BUDGET) + ratios("resnet18", BY_BUDGET):
        target = "CNN and ResNet-18, observation at its defaults: requests/s at least 0.97 of those without"
        yield _median_at_least(target, measured, 0.97)
    if measured := ratios("resnet18", EVERY_ROW):
        target = "ResNet-18, every row observed: requests/s at least 0.85 of those without"
        yield _median_at_least(target, measured, 0.85)


def _decode(run: Comparison) -> Iterator[Verdict]:
    ratios = [run.ratio(Figure(case, decoding.OURS, "ms"), Figure(case, decoding.PARSER, "ms")) for case in run.cases]
    yield _at_most("Decoding 150,528 numbers, flat and nested: at most 1.5 times the parser alone", ratios, 1.5)


def _start(run: Comparison) -> Iterator[Verdict]:
    case = starting.CASE
    ratio = run.ratio(Figure(case, starting.OURS, "ms"), Figure(case, starting.IMPORTS, "ms"))
    yield _at_most("Exec to ready: at most 1.5 times the imports and one session alone", [ratio], 1.5)


def _at_least(target: str, ratios: Sequence[float], bar: float) -> Verdict:
    return Verdict(target, _listed(ratios), min(ratios) >= bar)


def _median_at_least(target: str, ratios: Sequence[float], bar: float) -> Verdict:
    median = Median.of(ratios)
    return Verdict(target, str(median), median.value >= bar)


def _at_most(target: str, ratios: Sequence[float], bar: float) -> Verdict:
    return Verdict(target, _listed(ratios), max(ratios) <= bar)


def _listed(ratios: Sequence[float]) -> str:
    return ", ".join(f"{ratio:.2f}" for ratio in ratios)
