import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.errors import StudyError
from training.studies.results import Outcome, Results, Run, read_results, rounded, write_results

RUN = Run(
    study="some",
    command="bntrain study some",
    data="digits",
    train_rows=3,
    test_rows=2,
    steps=1,
    seeds=2,
    date="2026-11-28",
    machine="one",
)
OUTCOMES = tuple(
    Outcome(
        condition={"normalized": normalized, "rate": 0.1, "kind": "tanh"},
        seed=seed,
        figures={"accuracy": seed + normalized / 2, "lost": math.nan, "far": math.inf},
        series={"steps": [1, 2]},
        cpu_seconds=1.5,
    )
    for seed in (0, 1)
    for normalized in (True, False)
)


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_results(tmp_path / "some.jsonl", RUN, OUTCOMES)

    read = read_results(tmp_path / "some.jsonl")

    assert read.run == RUN
    assert [outcome.condition for outcome in read.outcomes] == [outcome.condition for outcome in OUTCOMES]
    assert read.figures("accuracy") == [0.5, 0, 1.5, 1]
    assert all(math.isnan(value) for value in read.figures("lost"))
    assert read.figures("far") == [math.inf] * 4
    assert read.cpu_seconds == 6


def test_outcomes_are_chosen_by_their_condition() -> None:
    results = Results(RUN, OUTCOMES)

    assert results.figures("accuracy", normalized=True, kind="tanh") == [0.5, 1.5]
    assert results.series("steps", normalized=False) == [[1, 2], [1, 2]]
    assert results.values("normalized") == [True, False]
    assert results.where(kind="sigmoid") == []


def test_a_run_that_is_broken_off_leaves_the_results_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    write_results(path, RUN, OUTCOMES)

    def broken_off() -> Iterator[Outcome]:
        yield OUTCOMES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(path, RUN, broken_off())

    assert len(read_results(path).outcomes) == 4


@pytest.mark.parametrize("content", ["", "{}\n", f"{RUN.model_dump_json()}\n[1]\n", "\xff"])
def test_a_file_that_holds_no_results_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(content, encoding="latin-1")

    with pytest.raises(StudyError, match=f"{path}: expected the results of a study"):
        read_results(path)


def test_figures_are_rounded_to_significant_digits() -> None:
    assert rounded([0.000123456, 98765.4, 0.0], 3) == [0.000123, 98800.0, 0.0]
