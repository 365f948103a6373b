from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.page import write_page
from benchmarks.serving.results import Comparison, Figure, Measurement, Results, Run
from benchmarks.serving.rounds import ROUNDS_A_START
from benchmarks.serving.targets import judge

FIRST = Run.now("serve", ["serve", "--rounds", "3"], threads=1)
SECOND = FIRST.model_copy(update={"started": "2100-01-01T00:00:00+00:00"})


def measurement(case: str, contender: str, number: int, run: Run = FIRST, **figures: float) -> Measurement:
    return Measurement(run=run, case=case, contender=contender, setup="as it is", round=number, figures=figures)


def load(case: str, contender: str, number: int, rate: float, p50_ms: float = 1.0) -> Measurement:
    return measurement(case, contender, number, requests_per_s=rate, p50_ms=p50_ms, p99_ms=2 * p50_ms)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    kept = measurement("start", "bnserve", 0, ms=2.5)
    Results(tmp_path / "results.jsonl").add(kept)

    found = Results(tmp_path / "results.jsonl").last("serve")

    assert found is not None
    assert found.run == FIRST
    assert found.median(Figure("start", "bnserve", "ms")) == 2.5


def test_only_the_last_run_counts(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add(measurement("start", "bnserve", 0, ms=2.5))
    results.add(measurement("start", "bnserve", 0, run=SECOND, ms=7.5))

    found = results.last("serve")

    assert found is not None
    assert found.median(Figure("start", "bnserve", "ms")) == 7.5


def test_a_ratio_compares_within_rounds() -> None:
    ours, theirs = Figure("start", "ours", "ms"), Figure("start", "theirs", "ms")
    times = [(2.0, 1.0), (20.0, 10.0), (9.0, 3.0)]
    run = Comparison(
        [
            measurement("start", who, number, ms=milliseconds)
            for number, pair in enumerate(times)
            for who, milliseconds in zip(("ours", "theirs"), pair, strict=True)
        ]
    )

    ratio = run.ratio(ours, theirs)

    assert ratio == 2.0
    assert run.difference(ours, theirs) == 6.0


@pytest.mark.parametrize(("rate", "held"), [(85.0, True), (84.0, False)])
def test_a_target_is_held_or_not(rate: float, held: bool) -> None:
    case = "cnn binary closed 16"
    run = Comparison([load(case, "floor", 0, 100.0), load(case, "bnserve", 0, rate)])

    (verdict,) = judge({"serve": run})

    assert verdict.held == held
    assert verdict.figure == f"{rate / 100:.2f}"


@pytest.mark.parametrize(("peer", "bar"), [("LitServe", 2.5), ("Triton", 2.0)])
def test_a_peer_counts_with_the_best_of_its_set_ups(peer: str, bar: float) -> None:
    case = "cnn json closed 1"
    rates = {"bnserve": 249.0, f"{peer}, plain": 50.0, f"{peer}, batching": 100.0, "floor": 300.0}
    run = Comparison([load(case, who, 0, rate) for who, rate in rates.items()])

    (verdict,) = judge({"peers": run})

    assert verdict.figure == f"2.49 ({peer}, batching)"
    assert verdict.held == (bar == 2.0)


def test_latency_added_by_the_service_is_that_above_the_runtime() -> None:
    case = "resnet18 binary closed 1"
    alone = measurement("resnet18 session 1", "session.run", 0, run_ms=20.0, rows_per_s=50.0)
    run = Comparison([alone, load(case, "floor", 0, 50.0), load(case, "bnserve", 0, 49.0, p50_ms=21.25)])

    (verdict,) = judge({"serve": run})

    assert verdict.figure == "1.25 ms"
    assert verdict.held


def observing(by_budget: dict[str, list[float]]) -> Comparison:
    """A run in which one start after the other had these ratios, by case; every row observed has 0.8."""
    return Comparison(
        [
            load(case, who, start * ROUNDS_A_START, rate)
            for case, ratios in by_budget.items()
            for start, ratio in enumerate(ratios)
            for who, rate in (("observation off", 100.0), ("by its budget", 100 * ratio), ("every row", 80.0))
        ]
    )


def test_what_observing_costs_is_judged_over_all_loads_a_figure_a_start() -> None:
    """Of the CNN they are 0.96 and 1.0, the medians of its loads; of ResNet-18 0.98."""
    loads = {
        "cnn binary closed 1": [0.94, 1.02],
        "cnn binary closed 16": [0.98, 0.98],
        "resnet18 binary closed 4": [0.98],
    }

    by_budget, every_row = judge({"observe": observing(loads)})

    assert (by_budget.figure, by_budget.held) == ("0.98 (0.96 to 1.00)", True)
    assert (every_row.figure, every_row.held) == ("0.80 (0.80 to 0.80)", False)


def test_a_start_has_the_median_of_its_rounds() -> None:
    """However many it had."""
    rounds = [*range(3), ROUNDS_A_START]
    run = Comparison(
        [
            load("cnn", who, number, 10.0 * (number + 1) ** power)
            for number in rounds
            for who, power in (("a", 2), ("b", 1))
        ]
    )

    found = run.ratios_by_start(
        Figure("cnn", "a", "requests_per_s"), Figure("cnn", "b", "requests_per_s"), ROUNDS_A_START
    )

    assert found == [2.0, ROUNDS_A_START + 1.0]


def test_a_page_of_nothing_says_nothing(tmp_path: Path) -> None:
    page = write_page(Results(tmp_path / "results.jsonl"))

    assert page.startswith("# Serving, measured\n")
    assert "##" not in page
