"""This module is the command line of the folding benchmarks; ``python -m benchmarks.folding --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.folding.bounds import BOUNDS
from benchmarks.folding.command import Command
from benchmarks.folding.results import Results
from benchmarks.folding.rules import RULES
from benchmarks.folding.speed import SPEED
from benchmarks.folding.verify import VERIFY

COMMANDS: Mapping[str, Command[Any]] = {command.name: command for command in (VERIFY, SPEED, BOUNDS, RULES)}

TITLE = """# Folding, measured

Made by `python -m benchmarks.folding page`, from what the commands below have measured. Errors are relative; times are
ratios of graphs that were run in turn in one process, by ONNX Runtime on one thread.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 1 if any case misses its bar."""
    options = _parser().parse_args(arguments)
    results = Results(options.results)
    failures: list[str] = []
    if options.command == "page":
        commands = [command for command in COMMANDS.values() if results.of(command.name)]
        text = "\n".join([TITLE, *(command.section(results) for command in commands)])
    else:
        command = COMMANDS[options.command]
        failures = command.run(results, only=options.only, effort=options.seconds)
        text = command.section(results)
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text)
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folding", description="Measure folding.")
    parser.add_argument("command", choices=[*COMMANDS, "page"])
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="measure the cases whose names contain it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write; printed otherwise")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep results here, and measure only what is not")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to time each case, about")
    return parser


if __name__ == "__main__":
    sys.exit(main())
