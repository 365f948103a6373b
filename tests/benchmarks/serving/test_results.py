from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.page import write_page
from benchmarks.serving.results import Comparison, Figure, Measurement, Results, Run
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


def test_what_observing_costs_is_judged_by_load() -> None:
    ratios = {"cnn binary closed 1": (0.95, 0.99, 1.01), "resnet18 binary closed 4": (0.96, 0.98, 1.00)}
    run = Comparison(
        [
            load(case, who, number, rate)
            for case, measured in ratios.items()
            for number, ratio in enumerate(measured)
            for who, rate in (("observation off", 100.0), ("by its budget", 100 * ratio), ("every row", 80.0))
        ]
    )

    by_budget, every_row = judge({"observe": run})

    assert by_budget.figure == "0.99, 0.98"
    assert by_budget.held
    assert every_row.figure == "0.80"
    assert not every_row.held


def test_a_page_of_nothing_says_nothing(tmp_path: Path) -> None:
    page = write_page(Results(tmp_path / "results.jsonl"))

    assert page.startswith("# Serving, measured\n")
    assert "##" not in page
