"""This module runs the commands for real, as short as they go; how fast anything was is not looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.serving.__main__ import main
from benchmarks.serving.contenders import FLOOR, FLOOR_IN_THREAD, OURS, Contender, ContenderError, ask, serving
from benchmarks.serving.forms import V2, Form
from benchmarks.serving.networks import ROOT, demo
from benchmarks.serving.results import Comparison, Figure, Results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One quick run of every command that needs no other environment."""
    path = tmp_path_factory.mktemp("results") / "serving.jsonl"
    for command in ("client", "serve", "observe", "decode", "start"):
        assert main([command, "--quick", "--results", str(path)]) == 0
    return path


def last(results: Path, command: str) -> Comparison:
    run = Results(results).last(command)
    assert run is not None
    return run


def test_every_load_was_answered_without_errors(results: Path) -> None:
    run = last(results, "serve")
    closed = [f"digits {encoding} closed {n}" for encoding in ("json", "binary") for n in (1, 64)]
    opened = [f"digits {encoding} open 75%" for encoding in ("json", "binary")]

    errors = {
        (case, who): run.median(Figure(case, who, "errors")) for case in closed + opened for who in ("floor", "bnserve")
    }
    answers = [run.median(Figure(case, who, "answers")) for case, who in errors]

    assert set(errors.values()) == {0.0}
    assert min(answers) > 0


def test_observing_was_measured_beside_not_observing(results: Path) -> None:
    run = last(results, "observe")
    cases = [f"digits binary closed {connections}" for connections in (1, 64)]

    rates = {
        (case, who): run.median(Figure(case, who, "requests_per_s"))
        for case in cases
        for who in ("observation off", "by its budget", "every row")
    }

    assert set(run.cases) == set(cases)
    assert min(rates.values()) > 0


def test_the_runtime_was_measured_beside_the_servers(results: Path) -> None:
    run = last(results, "serve")

    rates = [run.median(Figure(f"digits session {rows}", "session.run", "rows_per_s")) for rows in (1, 64)]

    assert min(rates) > 0


@pytest.mark.parametrize(
    ("command", "case"), [("decode", "decode flat"), ("decode", "decode nested"), ("start", "start")]
)
def test_ours_and_what_it_can_not_do_without_were_timed(results: Path, command: str, case: str) -> None:
    run = last(results, command)

    times = [run.median(Figure(case, who, "ms")) for who in run.contenders(case)]

    assert len(times) == 2
    assert min(times) > 0


def test_a_page_has_a_section_for_every_command(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "results.md"

    status = main(["page", "--results", str(results), "--output", str(page)])

    text = page.read_text()
    assert status == 0
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Targets",
        "## Against the floor and the runtime alone",
        "## What observing costs",
        "## Decoding",
        "## Start-up",
        "## The load generator alone",
    ]
    assert "    python -m benchmarks.serving serve --quick" in text


@pytest.mark.parametrize("encoding", ["json", "binary"])
def test_the_floor_answers_with_the_bytes_of_the_service(encoding: str) -> None:
    request = V2[encoding].request(demo(), demo().rows(1))
    bodies = []

    for contender in (FLOOR, FLOOR_IN_THREAD, OURS):
        with serving(contender, demo(), threads=1) as port:
            bodies.append(ask(port, request).body)

    assert bodies[0] == bodies[1] == bodies[2]


def test_a_server_that_answers_wrong_is_not_measured() -> None:
    twice = Form(V2["json"].path, V2["json"].write, lambda answer: 2 * V2["json"].read(answer))
    wrong = Contender("wrong", "gives logits twice as large", FLOOR.command, forms={"json": twice})

    with (
        pytest.raises(ContenderError, match=r"wrong: /v2/models/\{model\}/infer: expected"),
        serving(wrong, demo(), threads=1),
    ):
        pass


def test_telemetry_of_the_runtime_is_off_in_every_process() -> None:
    program = "import os, benchmarks.serving.runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=variables
    )

    assert done.stdout.strip() == "1"


def test_a_server_that_does_not_start_tells_why() -> None:
    broken = Contender("broken", "ends at once", lambda *_: ["python3", "-c", "raise SystemExit('no model')"])

    with pytest.raises(ContenderError, match=r"it ended with status 1\nno model"), serving(broken, demo(), threads=1):
        pass
