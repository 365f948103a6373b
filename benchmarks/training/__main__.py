"""This module is the command line of training's benchmarks; ``python -m benchmarks.training --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.training.kill import JOBS, kill
from benchmarks.training.kill_page import page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark; 1 if it shows that something does not hold."""
    options = _parser().parse_args(arguments)
    code: int = options.command(options)
    return code


def _kill(options: argparse.Namespace) -> int:
    results = [kill(job, options.rounds // len(JOBS), _tell, seed=options.seed) for job in JOBS]
    text = page(f"python -m benchmarks.training kill --rounds {options.rounds} --seed {options.seed}", results)
    print(text)
    if options.results is not None:
        options.results.write_text(text)
    return 1 if any(result.problems for result in results) else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Measure training.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    killed = commands.add_parser("kill", help="kill jobs at random moments, and compare what they publish")
    killed.add_argument("--rounds", type=int, default=20, help="over all jobs (default: %(default)s)")
    killed.add_argument("--seed", type=int, default=1, help="of the moments (default: %(default)s)")
    killed.add_argument("--results", type=Path, metavar="FILE", help="where to write the page too")
    killed.set_defaults(command=_kill)
    return parser


if __name__ == "__main__":
    sys.exit(main())
