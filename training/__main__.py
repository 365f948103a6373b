"""This module is the command ``bntrain``: a fit, and every step after it by itself; what is made is in the store.

Exit codes are those of ``training/exit_codes.py``; one sentence on stderr says why.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from folding.errors import GraphError
from models.errors import ModelsError
from models.store import Store
from training.command_line import Command, Report, make_parser
from training.errors import RecipeError, TrainingError
from training.exit_codes import ExitCode, code_of_error
from training.interruption import Interrupted, Interruption
from training.threads import choose_threads

if TYPE_CHECKING:
    from models.draft import BundleDraft

ONLY_TRAINING = frozenset({"PIL", "lightning", "matplotlib", "pyarrow", "scipy", "sklearn", "torch", "yaml"})
"""What an environment that was made to serve lacks; commands that need none of it work there too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it went; ``arguments`` are those of the process if none are given."""
    options = make_parser(_COMMANDS).parse_args(arguments, argparse.Namespace(interruption=Interruption()))
    choose_threads(os.environ)  # before torch is imported
    try:
        with options.interruption:  # a signal that nobody takes would not end the first process of a container
            report = options.command(options)
            options.interruption.ignore()  # to leave with 143 now would have it all done again
            _print(report)
    except (TrainingError, GraphError, ModelsError) as error:
        _say(str(error))
        return code_of_error(error)
    except Interrupted as interrupted:
        _say(": ".join([str(interrupted), *getattr(interrupted, "__notes__", [])]))
        return ExitCode(128 + interrupted.number)
    except ModuleNotFoundError as error:
        if error.name not in ONLY_TRAINING:
            raise
        _say(
            f"expected {error.name} to be installed, it is not: this environment only serves; "
            "`make train` adds what training needs, and so does `pip install '.[training]'` in the clone"
        )
        return ExitCode.FAILED
    finally:
        _give_up_if_gone(sys.stderr)
    return ExitCode.DONE


def _print(report: Report) -> None:
    """Print a report, as far as someone reads it; whoever left has seen enough."""
    with contextlib.suppress(BrokenPipeError):
        report()
    _give_up_if_gone(sys.stdout)


def _say(sentence: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(f"bntrain: {sentence}", file=sys.stderr)


def _give_up_if_gone(stream: TextIO) -> None:
    """Where a stream's reader is gone, lead it nowhere: what is left in it would have Python exit with 120."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# torch takes seconds to import: what needs it is imported by the command that runs, not by `--help`
def _fit(options: argparse.Namespace) -> Report:
    from training import report
    from training.command_fit import fit_named

    bundle = fit_named(options)

    def tell() -> None:
        if bundle is not None:
            report.print_bundle(bundle)

    return tell


def _export(options: argparse.Namespace) -> Report:
    from training.command_export import draft_named

    return _publish(draft_named, options)


def _statistics(options: argparse.Namespace) -> Report:
    from training import report
    from training.command_statistics import reestimate_named

    made = reestimate_named(options)

    def tell() -> None:
        report.print_changes(made.layers)
        print(f"wrote {options.output}, its statistics those of {made.rows} rows")

    return tell


def _import(options: argparse.Namespace) -> Report:
    from training.import_onnx import draft_import

    def make(options: argparse.Namespace) -> BundleDraft:
        return draft_import(
            options.file,
            name=options.name,
            fold=options.fold,
            rows=options.rows,
            allow_untrained=options.allow_untrained,
        )

    return _publish(make, options)


def _publish(make: Callable[[argparse.Namespace], BundleDraft], options: argparse.Namespace) -> Report:
    from training import report

    store = Store(options.store)
    store.versions(options.name)  # refuses a name that no model can have, before the work
    made = make(options)
    published = None if options.dry_run else store.publish(made)

    def tell() -> None:
        report.print_proof(made)
        if published is not None:
            report.print_published(published)

    return tell


def _recalibrate(options: argparse.Namespace) -> Report:
    from training import report
    from training.command_recalibrate import recalibrate_named

    made, published = recalibrate_named(options)

    def tell() -> None:
        report.print_recalibration(made.record)
        if published is not None:
            print(f"published {published.path}; it answers by default once it is promoted")

    return tell


def _networks(options: argparse.Namespace) -> Report:
    from training import report
    from training.arguments import parse_arguments
    from training.loading import load_network
    from training.matching import describe_modules
    from training.networks import describe_networks

    if options.network is None and options.arguments:
        raise RecipeError("--argument: expected the name of a network to build with it")
    if options.network is None:
        return partial(report.print_networks, describe_networks())
    network = load_network(options.network, parse_arguments(options.arguments))
    return partial(report.print_modules, describe_modules(network))


def _study(options: argparse.Namespace) -> Report:
    from training.command_study import study_as_told

    return partial(print, f"wrote {study_as_told(options)}")


def _verify(options: argparse.Namespace) -> Report:
    from training import report
    from training.named_bundles import open_folder
    from training.verify_bundle import verify_bundle

    bundle = open_folder(options.bundle)
    record = verify_bundle(bundle, options.network)

    def tell() -> None:
        report.print_layers(bundle.manifest.layers)
        report.print_verification(record)
        print(
            f"{options.bundle}: every file intact, every output within {record.tolerance:g}, "
            f"every tap within {record.tap_tolerance:g}"
        )

    return tell


_COMMANDS: Mapping[str, Command] = {
    "fit": _fit,
    "export": _export,
    "statistics": _statistics,
    "import": _import,
    "recalibrate": _recalibrate,
    "networks": _networks,
    "study": _study,
    "verify": _verify,
}


if __name__ == "__main__":
    sys.exit(main())
