"""This module is the command line of training's benchmarks; ``python -m benchmarks.training --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.folding.results import Results
from benchmarks.training import kill_page
from benchmarks.training.fit import FIT
from benchmarks.training.kill import JOBS, kill

TITLE = """# Training, measured

Made by `python -m benchmarks.training page`, from what the command below has measured.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark; 1 if it shows that something does not hold."""
    options = _parser().parse_args(arguments)
    code: int = options.command(options)
    return code


def _fit(options: argparse.Namespace) -> int:
    command = replace(FIT, threads=options.threads)
    failures = command.run(Results(options.results), only=options.only, effort=options.rounds)
    _page(options)
    for failure in failures:
        _tell(failure)
    return 1 if failures else 0


def _page(options: argparse.Namespace) -> int:
    _write("\n".join([TITLE, FIT.section(Results(options.results))]), options.output)
    return 0


def _kill(options: argparse.Namespace) -> int:
    results = [kill(job, options.rounds // len(JOBS), _tell, seed=options.seed) for job in JOBS]
    line = f"python -m benchmarks.training kill --rounds {options.rounds} --seed {options.seed}"
    _write(kill_page.page(line, results), options.output)
    return 1 if any(result.problems for result in results) else 0


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text)
    else:
        output.write_text(text)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Measure training.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    results = argparse.ArgumentParser(add_help=False)
    results.add_argument("--results", type=Path, metavar="FILE", help="keep results here, and measure only what is not")
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--output", type=Path, metavar="FILE", help="where to write the page; printed otherwise")

    fit = commands.add_parser("fit", parents=[results, output], help="time fits beside a loop written by hand")
    fit.add_argument("--only", default="", metavar="SUBSTRING", help="measure the cases whose names contain it")
    fit.add_argument("--rounds", type=int, default=5, help="how often to time each (default: %(default)s)")
    threads = len(os.sched_getaffinity(0))
    fit.add_argument("--threads", type=int, default=threads, help="of torch (default: the CPUs, %(default)s)")
    fit.set_defaults(command=_fit)

    commands.add_parser("page", parents=[results, output], help="write that page anew").set_defaults(command=_page)

    killed = commands.add_parser(
        "kill", parents=[output], help="kill jobs at random moments, and compare what they publish"
    )
    killed.add_argument("--rounds", type=int, default=20, help="over all jobs (default: %(default)s)")
    killed.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    killed.set_defaults(command=_kill)
    return parser


if __name__ == "__main__":
    sys.exit(main())
