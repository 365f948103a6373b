"""This module is the command line of the history's benchmarks; ``python -m benchmarks.history --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.history.kill import kill
from benchmarks.history.page import page

DATABASES = ("sqlite", "postgresql")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kill study; 1 if anything was lost or damaged."""
    options = _parser().parse_args(arguments)
    results = [kill(database, options.rounds, _tell) for database in options.database]
    command = f"python -m benchmarks.history kill --rounds {options.rounds} --database {' '.join(options.database)}"
    text = page(command, results)
    print(text)
    if options.output is not None:
        options.output.write_text(text)
    return 1 if any(result.problems for result in results) else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description="Test the history to its death.")
    parser.add_argument("command", choices=["kill"])
    parser.add_argument("--rounds", type=int, default=50, help="how many times to kill on each database")
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the page too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
