"""This module is the command line of the training benchmarks; ``python -m benchmarks.training --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.folding.results import Results
from benchmarks.training.fit import FIT

TITLE = """# Training, measured

Made by `python -m benchmarks.training page`, from what the command below has measured.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 1 if any case misses its bar."""
    options = _parser().parse_args(arguments)
    results = Results(options.results)
    failures: list[str] = []
    if options.command == "fit":
        command = replace(FIT, threads=options.threads)
        failures = command.run(results, only=options.only, effort=options.rounds)
    text = "\n".join([TITLE, FIT.section(results)])
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text)
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Measure training.")
    parser.add_argument("command", choices=["fit", "page"])
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="measure the cases whose names contain it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the page; printed otherwise")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep results here, and measure only what is not")
    parser.add_argument("--rounds", type=int, default=5, help="how often to time each (default: %(default)s)")
    threads = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=threads, help="of torch (default: the CPUs, %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
