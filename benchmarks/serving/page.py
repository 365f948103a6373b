"""This module writes the page of results: what was measured, where, by which command, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.folding.markdown import table
from benchmarks.serving.contenders import OURS
from benchmarks.serving.medians import Median
from benchmarks.serving.observed import BY_BUDGET, EVERY_ROW, OFF
from benchmarks.serving.results import Comparison, Figure, Results
from benchmarks.serving.rounds import ROUNDS_A_START
from benchmarks.serving.targets import RATE, Verdict, fastest, floors, judge, session_figure

TITLE = """# Serving, measured

Made by `python -m benchmarks.serving page` from the last run of each command;
[docs/benchmarks.md](../docs/benchmarks.md) says how it is measured and how to read it. What is compared was measured in
turn, on one machine, in one run. Figures are medians over the rounds, and a ratio is the median of the rounds' ratios;
in parentheses, where a median is with 95 % confidence.
"""


def write_page(results: Results) -> str:
    """The page, in Markdown, of whatever was measured."""
    runs = {command: run for command in SECTIONS if (run := results.last(command)) is not None}
    sections = [_section(runs[command], title, body) for command, (title, body) in SECTIONS.items() if command in runs]
    verdicts = judge(runs)
    return "\n".join([TITLE, *([_targets(verdicts)] if verdicts else []), *sections])


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [(verdict.target, verdict.figure, "held" if verdict.held else "not held") for verdict in verdicts]
    note = "Several figures are those of 1, 16 and 64 connections, or of flat and nested lists.\n"
    return f"## Targets\n\n{note}\n{table(['target', 'measured', ''], rows)}"


def _section(run: Comparison, title: str, body: Callable[[Comparison], str]) -> str:
    setups = "\n".join(f"- {name}: {setup}" for name, setup in run.setups.items())
    return f"## {title}\n\n    {run.run.line}\n\n{_made(run)}\n\n{setups}\n\n{body(run)}"


def _made(run: Comparison) -> str:
    machine = run.run.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{run.run.started}, {machine.processor}, {machine.cpus} CPUs, {run.run.memory_gib:g} GiB, {run.run.kernel}, "
        f"Python {machine.python}, {packages}. Threads of a run: {run.run.threads}. Rounds: {run.num_rounds}."
    )


def _client(run: Comparison) -> str:
    header = ["connections", "requests/s", "p50 ms", "p99 ms"]
    rows = [(_last(case), *_load(run, case, run.contenders(case)[0])) for case in run.cases]
    return table(header, rows)


def _serve(run: Comparison) -> str:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for case in run.cases:
        network, *kind = case.split()[:3]
        if kind[0] != "session":
            groups.setdefault((network, kind[0], kind[1]), []).append(case)
    parts = []
    for (network, encoding, loop), cases in groups.items():
        write = _closed if loop == "closed" else _open
        parts.append(f"### {network}, {encoding}, {loop} loop\n\n{write(run, network, cases)}")
    return "\n".join(parts)


def _closed(run: Comparison, network: str, cases: Sequence[str]) -> str:
    header = ["connections", "session.run rows/s", "floor requests/s", "bnserve requests/s", "bnserve / floor"]
    header += ["bnserve / session.run", "floor p50, p99 ms", "bnserve p50, p99 ms"]
    rows = []
    for case in cases:
        floor = fastest(run, case, floors(run, case))
        ours, theirs = Figure(case, OURS.name, RATE), Figure(case, floor, RATE)
        session = session_figure(run, network, int(_last(case)))
        row = [_last(case), _rate(run.median(session)), _rate(run.median(theirs)) + _which(floor)]
        row += [_rate(run.median(ours)), f"{run.ratio(ours, theirs):.2f}", f"{run.ratio(ours, session):.2f}"]
        rows.append([*row, _latencies(run, case, floor), _latencies(run, case, OURS.name)])
    return table(header, rows)


def _open(run: Comparison, _network: str, cases: Sequence[str]) -> str:
    header = [
        "of its closed loop",
        "floor requests/s",
        "floor p50, p99 ms",
        "bnserve requests/s",
        "bnserve p50, p99 ms",
    ]
    rows = []
    for case in cases:
        floor = fastest(run, case, floors(run, case))
        row = [_last(case)]
        for name in (floor, OURS.name):
            row += [_rate(run.median(Figure(case, name, RATE))) + _which(name), _latencies(run, case, name)]
        rows.append(row)
    return table(header, rows)


def _observe(run: Comparison) -> str:
    header = ["", "connections", "off, requests/s", "by its budget / off", "every row / off", "p50, p99 ms: off"]
    header += ["by its budget", "every row"]
    rows = []
    for case in run.cases:
        off, *observed = (Figure(case, each.name, RATE) for each in (OFF, BY_BUDGET, EVERY_ROW))
        row = [case.split()[0], _last(case), _rate(run.median(off))]
        row += [str(Median.of(run.ratios_by_start(figure, off, ROUNDS_A_START))) for figure in observed]
        rows.append([*row, *(_latencies(run, case, each.name) for each in (OFF, BY_BUDGET, EVERY_ROW))])
    return table(header, rows)


def _in_milliseconds(run: Comparison) -> str:
    """Both contenders of every case, ours over the other."""
    header = ["", "ours, ms", "alone, ms", "ours / alone"]
    rows = []
    for case in run.cases:
        ours, other = (Figure(case, name, "ms") for name in sorted(run.contenders(case), key=_is_ours, reverse=True))
        rows.append([case, f"{run.median(ours):.2f}", f"{run.median(other):.2f}", f"{run.ratio(ours, other):.2f}"])
    return table(header, rows)


def _peers(run: Comparison) -> str:
    parts = []
    for case in run.cases:
        network, encoding, _, connections = case.split()
        ours = Figure(case, OURS.name, RATE)
        rows = []
        for name in sorted(run.contenders(case), key=lambda who: -run.median(Figure(case, who, RATE))):
            theirs = Figure(case, name, RATE)
            ratio = f"{run.ratio(ours, theirs):.2f}"
            rows.append([name, _rate(run.median(theirs)), ratio, _latencies(run, case, name)])
        header = ["server", "requests/s", "bnserve / it", "p50, p99 ms"]
        parts.append(f"### {network}, {encoding}, connections: {connections}\n\n{table(header, rows)}")
    return "\n".join(parts)


SECTIONS: Mapping[str, tuple[str, Callable[[Comparison], str]]] = {
    "peers": ("Against peers", _peers),
    "serve": ("Against the floor and the runtime alone", _serve),
    "observe": ("What observing costs", _observe),
    "decode": ("Decoding", _in_milliseconds),
    "start": ("Start-up", _in_milliseconds),
    "client": ("The load generator alone", _client),
}


def _is_ours(name: str) -> bool:
    return name in {"bnserve", "decode_request"}


def _last(case: str) -> str:
    return case.rpartition(" ")[2]


def _load(run: Comparison, case: str, name: str) -> tuple[str, str, str]:
    p50, p99 = (run.median(Figure(case, name, figure)) for figure in ("p50_ms", "p99_ms"))
    return _rate(run.median(Figure(case, name, RATE))), f"{p50:.2f}", f"{p99:.2f}"


def _latencies(run: Comparison, case: str, name: str) -> str:
    return ", ".join(_load(run, case, name)[1:])


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _which(floor: str) -> str:
    return f" ({floor.partition(', ')[2]})" if ", " in floor else ""
