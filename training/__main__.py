"""This module is the command ``bntrain``: fit a recipe and publish it, or verify what was published.

Exit codes: 0 done, 1 it can't be done (one sentence on stderr says why), 2 the command line was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from models.bundle import Bundle
from models.errors import BundleError, ModelsError
from models.store import Store
from training.errors import TrainingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it went; ``arguments`` are those of the process if none are given."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (TrainingError, ModelsError) as error:
        print(f"bntrain: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bntrain", description="Train, fold, verify and publish networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="make a model by its recipe and publish its next version")
    fit.add_argument("recipe", help="a name in training/recipes, or a .yaml file")
    fit.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("BNTRAIN_STORE", "models/store")),
        help="where to publish; also as the variable BNTRAIN_STORE (default: %(default)s)",
    )
    fit.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change a field of the recipe"
    )
    fit.set_defaults(command=_fit)

    verify = commands.add_parser("verify", help="compare a published bundle with its network, in torch, once more")
    verify.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    verify.set_defaults(command=_verify)
    return parser


# torch takes seconds to import: what needs it is imported by the command that runs, not by `--help`
def _fit(options: argparse.Namespace) -> None:
    from training import job, report
    from training.recipe import load_recipe

    report.print_bundle(job.run(load_recipe(options.recipe, options.changes), Store(options.store)))


def _verify(options: argparse.Namespace) -> None:
    from training import job, report

    try:
        bundle = Bundle.open(options.bundle)
    except BundleError as error:
        raise BundleError(f"{options.bundle}: {error}") from error
    record = job.verify_bundle(bundle)
    report.print_layers(bundle.manifest.layers)
    report.print_verification(record)
    print(f"{options.bundle}: every file intact, every output and tap within {record.tolerance:g}")


if __name__ == "__main__":
    sys.exit(main())
