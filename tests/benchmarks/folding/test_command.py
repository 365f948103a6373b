from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from benchmarks.folding.__main__ import main
from benchmarks.folding.command import Command
from benchmarks.folding.results import Environment, Line, Results


class Figure(BaseModel):
    """What a made-up command measures."""

    value: float


def measure(case: str, seconds: float) -> Figure:
    return Figure(value=1 / int(case) + seconds)


COMMAND = Command(
    name="figures",
    title="Figures",
    cases=["1", "2", "0"],
    measure=measure,
    record=Figure,
    describe=str,
    body=lambda records: ", ".join(str(record.value) for record in records),
    failures=lambda records: [f"{record.value} is above 0.7" for record in records if record.value > 0.7],
)


def test_verifying_writes_a_section(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results.jsonl"

    status = main(["verify", "--only", "mlp", "--output", str(page), "--results", str(results)])

    assert status == 0
    assert "python -m benchmarks.folding verify" in page.read_text()
    assert "| mlp | MLP | 2 | 2 |" in page.read_text()


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    kept = Results(tmp_path / "results.jsonl")
    kept.add(_line("1", 0.25))

    failures = COMMAND.run(Results(tmp_path / "results.jsonl"), only="1", effort=0.0)

    assert failures == []
    assert COMMAND.section(Results(tmp_path / "results.jsonl")).endswith("0.25\n")


def test_a_case_that_can_not_be_measured_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(None)
    results.add(_line("1", 0.25))

    failures = COMMAND.run(results, only="", effort=0.1)

    assert [failure.partition(":")[0] for failure in failures] == ["0"]
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert list(results.of("figures")) == ["1", "2"]


def test_what_misses_its_bar_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(None)
    results.add(_line("1", 0.8))

    failures = COMMAND.run(results, only="1", effort=0.0)

    assert failures == ["0.8 is above 0.7"]
    assert capsys.readouterr().err == ""


def test_a_page_has_the_sections_that_there_are_results_for(tmp_path: Path) -> None:
    page = tmp_path / "page.md"

    status = main(["page", "--output", str(page)])

    assert status == 0
    assert page.read_text().startswith("# Folding, measured\n")
    assert "##" not in page.read_text()


def _line(case: str, value: float) -> Line:
    environment = Environment.current()
    return Line(command="figures", case=case, environment=environment, record={"value": value})
