"""This module is the command line of the serving benchmarks; ``python -m benchmarks.serving --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.serving.commands import COMMANDS, Options
from benchmarks.serving.contenders import ContenderError
from benchmarks.serving.page import write_page
from benchmarks.serving.results import Measurement, Results, Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 1 if a server failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    results = Results(options.results)
    if options.command == "page":
        text = write_page(results)
        if options.output is None:
            print(text)
        else:
            options.output.write_text(text)
        return 0
    run = Run.now(options.command, arguments, threads=options.threads)

    def keep(case: str, contender: str, setup: str, number: int, figures: Mapping[str, float]) -> None:
        measurement = Measurement(
            run=run, case=case, contender=contender, setup=setup, round=number, figures=dict(figures)
        )
        results.add(measurement)
        told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        sys.stderr.write(f"{case}: {contender}: {told}\n")

    try:
        COMMANDS[options.command](
            Options(rounds=options.rounds, seconds=options.seconds, threads=options.threads, quick=options.quick), keep
        )
    except ContenderError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Measure the service.")
    parser.add_argument("command", choices=[*COMMANDS, "page"])
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("runs/serving.jsonl"),
        metavar="FILE",
        help="where measurements are kept (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the page; printed otherwise")
    parser.add_argument("--rounds", type=int, help="how often to measure each contender")
    parser.add_argument("--seconds", type=float, help="how long each load is counted")
    parser.add_argument("--threads", type=int, default=1, help="of every run of a network (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of seconds, to see that it works")
    return parser


if __name__ == "__main__":
    sys.exit(main())
