"""This module measures contenders in turn, round by round, in an order that turns round with every round.

At any moment one load generator asks one server. ``measure`` starts a server for its turn, and the others are not
there: what slows the machine for a while slows one round of a contender, and the median of the rounds is of the
machine as it mostly was. ``measure_close`` is for contenders that differ by little: all servers are there, and those
that are compared have turns of less than a second, so that a speed that drifts moves no ratio. They are started anew
every so many rounds, since of two servers alike one is faster for as long as it lives, by some hundredths: where a
process finds its memory is chance.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.serving.contenders import Contender, ContenderError, serving
from benchmarks.serving.forms import Form
from benchmarks.serving.load import Load, Outcome
from benchmarks.serving.networks import ROOT, Network
from benchmarks.serving.session import SessionTimes
from benchmarks.serving.turns import LOADS, OUTCOMES

CONNECTIONS = (1, 16, 64)
SHARES = (0.25, 0.5, 0.75)
"""Of what a server can do at most: the rates of open loads."""
OPEN_CONNECTIONS = 64
"""More than are ever busy unless a server falls behind."""
SESSION = "session.run"
SESSION_SETUP = "ONNX Runtime alone, in a process without a server"

ROUNDS_A_START = 10
"""Rounds of ``measure_close`` that are measured with the same processes."""

Keep = Callable[[str, str, str, int, Mapping[str, float]], None]
"""Takes a case, a contender, its set-up, a round and figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured with one network.

    Attributes:
        network: Which.
        contenders: The servers.
        connections: Of closed loads, by encoding.
        open_encodings: Which encodings get open loads.
        open_shares: Of what a server can do at most: the rates of open loads.
        session_rows: Batches of ``session.run``.
        seconds: How long each load's answers are counted.
    """

    network: Network
    contenders: Sequence[Contender]
    connections: Mapping[str, Sequence[int]]
    open_encodings: Sequence[str] = ()
    open_shares: Sequence[float] = SHARES
    session_rows: Sequence[int] = ()
    seconds: float


def closed_case(network: str, encoding: str, connections: int) -> str:
    """The name of a closed load."""
    return f"{network} {encoding} closed {connections}"


def open_case(network: str, encoding: str, share: float) -> str:
    """The name of an open load."""
    return f"{network} {encoding} open {share:.0%}"


def session_case(network: str, rows: int) -> str:
    """The name of runs of so many rows."""
    return f"{network} session {rows}"


def measure(plan: Plan, keep: Keep, *, rounds: int, threads: int) -> None:
    """Measure every contender in every round.

    Raises:
        ContenderError: If a server does not start, answers wrong, or fails under load.
    """
    turns: list[Callable[[int], None]] = [
        partial(_measure_server, plan, contender, keep, threads) for contender in plan.contenders
    ]
    if plan.session_rows:
        turns.insert(0, partial(_measure_session, plan, keep, threads))
    for number in range(rounds):
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn(number)


def _measure_session(plan: Plan, keep: Keep, threads: int, number: int) -> None:
    network = plan.network
    command = ["-m", "benchmarks.serving.session", str(network.model_path), "--threads", str(threads)]
    command += ["--seconds", str(plan.seconds)]
    for rows in plan.session_rows:
        command += ["--rows", str(rows)]
    for found in SessionTimes.model_validate_json(_python(command)).times:
        figures = {"rows_per_s": found.rows_per_s, "run_ms": found.run_ms}
        keep(session_case(network.name, found.rows), SESSION, SESSION_SETUP, number, figures)


def measure_close(plan: Plan, keep: Keep, *, rounds: int, threads: int) -> None:
    """Measure the closed loads of every contender in every round, with all servers there, and idle but for their turns.

    Raises:
        ContenderError: If a server does not start, answers wrong, or fails under load.
    """
    for numbers in rounds_by_start(rounds):
        with contextlib.ExitStack() as servers:
            ports = [servers.enter_context(serving(each, plan.network, threads=threads)) for each in plan.contenders]
            loads = [
                servers.enter_context(_loads(plan, each, port))
                for each, port in zip(plan.contenders, ports, strict=True)
            ]
            for encoding, connections in _closed_cases(plan):
                case = closed_case(plan.network.name, encoding, connections)
                together = [load[encoding].model_copy(update={"connections": connections}) for load in loads]
                for number, outcomes in zip(numbers, apply_in_turn(together, len(numbers)), strict=True):
                    for contender, outcome in zip(plan.contenders, outcomes, strict=True):
                        _expect_no_errors(outcome, contender.name)
                        keep(case, contender.name, contender.setup, number, outcome.model_dump())


def rounds_by_start(rounds: int) -> list[range]:
    """The numbers of the rounds, together those of the same processes."""
    return [range(first, min(first + ROUNDS_A_START, rounds)) for first in range(0, rounds, ROUNDS_A_START)]


def _closed_cases(plan: Plan) -> Iterator[tuple[str, int]]:
    for encoding, all_connections in plan.connections.items():
        for connections in all_connections:
            yield encoding, connections


def _measure_server(plan: Plan, contender: Contender, keep: Keep, threads: int, number: int) -> None:
    with serving(contender, plan.network, threads=threads) as port, _loads(plan, contender, port) as loads:
        for encoding, load in loads.items():
            for case, outcome in _measure_encoding(plan, encoding, load, contender.name):
                keep(case, contender.name, contender.setup, number, outcome.model_dump())


@contextlib.contextmanager
def _loads(plan: Plan, contender: Contender, port: int) -> Iterator[Mapping[str, Load]]:
    """By encoding, of one connection, with their requests in files for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            encoding: Load(
                port=port,
                requests=_written(Path(folder) / encoding, form, plan.network),
                connections=1,
                seconds=plan.seconds,
                settle_s=plan.seconds / 4,
            )
            for encoding, form in contender.forms.items()
            if encoding in plan.connections
        }


def _measure_encoding(plan: Plan, encoding: str, load: Load, name: str) -> Iterator[tuple[str, Outcome]]:
    """Closed loads, and then open ones at shares of what came of the best of these."""
    most = 0.0
    for connections in plan.connections[encoding]:
        outcome = _apply_closed(load, connections, name)
        most = max(most, outcome.requests_per_s)
        yield closed_case(plan.network.name, encoding, connections), outcome
    for share in plan.open_shares if encoding in plan.open_encodings else ():
        at = {"connections": OPEN_CONNECTIONS, "rate": share * most}
        yield open_case(plan.network.name, encoding, share), apply(load.model_copy(update=at), name)


def _apply_closed(load: Load, connections: int, name: str) -> Outcome:
    return apply(load.model_copy(update={"connections": connections}), name)


def apply(load: Load, name: str) -> Outcome:
    """Apply a load, by a process of its own.

    Raises:
        ContenderError: If any request was not answered with status 200.
    """
    outcome = Outcome.model_validate_json(_python(["-m", "benchmarks.serving.load"], load.model_dump_json()))
    _expect_no_errors(outcome, f"{name} ({load})")
    return outcome


def apply_in_turn(loads: Sequence[Load], rounds: int) -> list[list[Outcome]]:
    """Apply closed loads in short turns, by one process; of each round the outcome of each load.

    Raises:
        ContenderError: If a server can't be asked.
    """
    text = LOADS.dump_json(tuple(loads)).decode()
    return OUTCOMES.validate_json(_python(["-m", "benchmarks.serving.turns", "--rounds", str(rounds)], text))


def _expect_no_errors(outcome: Outcome, name: str) -> None:
    if outcome.errors:
        raise ContenderError(f"{name}: expected no errors under load, got {outcome.errors}")


def _written(start: Path, form: Form, network: Network) -> tuple[Path, ...]:
    """Files, each a whole request for one row."""
    rows = network.rows()
    paths = tuple(start.with_suffix(f".{number}") for number in range(len(rows)))
    for path, row in zip(paths, rows, strict=True):
        path.write_bytes(form.request(network, row[np.newaxis]))
    return paths


def _python(arguments: Sequence[str], text: str = "") -> str:
    """What a Python process of this project prints."""
    done = subprocess.run(  # noqa: S603  the project's own commands
        [sys.executable, *arguments], input=text, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise ContenderError(f"{' '.join(arguments)}: {done.stderr.strip()[-4000:]}")
    return done.stdout
