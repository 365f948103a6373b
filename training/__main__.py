"""This module is the command ``bntrain``: fit, export, import, recalibrate, verify; what is made is in the store.

Exit codes are those of ``training/exit_codes.py``; one sentence on stderr says why.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from folding.errors import GraphError
from models.bundle import Bundle
from models.errors import BundleError, ModelsError
from models.store import Store
from training.errors import RecipeError, TrainingError
from training.events import FORMS
from training.exit_codes import ExitCode, code_of_error
from training.interruption import Interrupted

ONLY_TRAINING = frozenset({"PIL", "lightning", "pyarrow", "sklearn", "torch", "yaml"})
"""What an environment that was made to serve lacks; commands that need none of it work there too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it went; ``arguments`` are those of the process if none are given."""
    options = _parser().parse_args(arguments)
    # By default the threads of OpenMP spin while they wait for each other. Where something else wants the same cores a
    # fit takes several times as long for it; the weights are the same. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the report has seen enough; what was to be done is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (TrainingError, GraphError, ModelsError) as error:
        print(f"bntrain: {error}", file=sys.stderr)
        return code_of_error(error)
    except Interrupted as interrupted:
        print(f"bntrain: {interrupted}: the same command goes on", file=sys.stderr)
        return ExitCode(128 + interrupted.number)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name not in ONLY_TRAINING:
            raise
        print(
            f"bntrain: expected {error.name} to be installed, it is not: this environment only serves; "
            "`make train` adds what training needs, and so does `pip install '.[training]'` in the clone",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bntrain", description="Train, fold, verify and publish networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="make a model by its recipe and publish its next version")
    fit.add_argument("recipe", help="a name in training/recipes, or a .yaml file")
    _add_store(fit)
    fit.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change a field of the recipe"
    )
    fit.add_argument(
        "--runs",
        type=Path,
        default=Path(os.environ.get("BNTRAIN_RUNS", "runs")),
        metavar="FOLDER",
        help="where the job is kept until it is done, under its name; also as BNTRAIN_RUNS (default: %(default)s)",
    )
    fit.add_argument("--restart", action="store_true", help="throw an unfinished job away instead of going on with it")
    fit.add_argument(
        "--checkpoint-every-s",
        type=float,
        default=60.0,
        metavar="S",
        help="how much of the fit may be lost with the process (default: %(default)g)",
    )
    fit.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="so many share every batch, each on a GPU where there are some (default: %(default)s)",
    )
    fit.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="LOGGER",
        dest="loggers",
        help="write the measures for tensorboard or mlflow too, beside metrics.csv in the job's folder",
    )
    fit.add_argument(
        "--progress",
        choices=FORMS,
        help="how it is told on stderr (default: a bar on a terminal, elsewhere JSON, a line an event)",
    )
    fit.set_defaults(command=_fit)

    export = commands.add_parser("export", help="fold, verify and publish a network of your own")
    export.add_argument(
        "--network",
        required=True,
        help="package.module:factory, a name of `bntrain networks`, timm/NAME, torchvision/NAME",
    )
    export.add_argument(
        "--argument", action="append", default=[], metavar="KEY=VALUE", dest="arguments", help="what to build it with"
    )
    export.add_argument("--checkpoint", type=Path, help="its parameters, as torch.save wrote them, or .safetensors")
    export.add_argument(
        "--input-shape",
        action="append",
        required=True,
        metavar="[NAME[:DATATYPE]=]3,224,224",
        dest="input_shapes",
        help="of one row of an input; once an input, in the order of the network's parameters",
    )
    export.add_argument("--rows", type=Path, metavar="FILE.npz", help="real rows to verify with: one array an input")
    _add_publishing(export)
    export.set_defaults(command=_export)

    import_ = commands.add_parser("import", help="fold, verify and publish an ONNX file made elsewhere")
    import_.add_argument("file", type=Path, help="the ONNX file")
    import_.add_argument("--rows", type=Path, metavar="FILE.npz", help="real rows to verify with: one array an input")
    _add_publishing(import_)
    import_.set_defaults(command=_import)

    recalibrate = commands.add_parser(
        "recalibrate", help="re-estimate a version's statistics from rows, and publish the next version"
    )
    recalibrate.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    recalibrate.add_argument("rows", type=Path, metavar="ROWS.npz", help="one array an input")
    recalibrate.add_argument(
        "--prior-rows", type=int, default=0, metavar="N", help="so many rows the statistics that there are count as"
    )
    recalibrate.add_argument(
        "--batch-rows", type=int, default=128, metavar="N", help="normalized together at most (default: %(default)s)"
    )
    recalibrate.add_argument("--labels", metavar="KEY", help="the array of ROWS.npz that holds the rows' classes")
    recalibrate.add_argument("--force", action="store_true", help="even if predictions collapse to few classes")
    recalibrate.add_argument("--dry-run", action="store_true", help="report, and publish nothing")
    recalibrate.set_defaults(command=_recalibrate)

    networks = commands.add_parser(
        "networks", help="list the networks that have a name here, or what of one of them can be normalized"
    )
    networks.add_argument("network", nargs="?", help="as for export: list its modules")
    networks.add_argument(
        "--argument", action="append", default=[], metavar="KEY=VALUE", dest="arguments", help="what to build it with"
    )
    networks.set_defaults(command=_networks)

    verify = commands.add_parser("verify", help="compare a published bundle with what it was made from, once more")
    verify.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    verify.add_argument("--network", help="package.module:factory, where the network is none of the library's")
    verify.set_defaults(command=_verify)
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("BNTRAIN_STORE", "models/store")),
        help="where to publish; also as the variable BNTRAIN_STORE (default: %(default)s)",
    )


def _add_publishing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what to publish it as")
    parser.add_argument(
        "--fold",
        choices=("fast", "complete"),
        default="fast",
        help="how far: what gets faster, or all that has an exact form (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-untrained", action="store_true", help="take layers whose statistics no data has updated"
    )
    _add_store(parser)


# torch takes seconds to import: what needs it is imported by the command that runs, not by `--help`
def _fit(options: argparse.Namespace) -> None:
    from training import report
    from training.command_fit import fit_named

    if (bundle := fit_named(options)) is not None:
        report.print_bundle(bundle)


def _export(options: argparse.Namespace) -> None:
    from training import report
    from training.command_export import export_named

    report.print_bundle(export_named(options))


def _import(options: argparse.Namespace) -> None:
    from training import report
    from training.import_onnx import import_onnx

    bundle = import_onnx(
        options.file,
        store=Store(options.store),
        name=options.name,
        fold=options.fold,
        rows=options.rows,
        allow_untrained=options.allow_untrained,
    )
    report.print_bundle(bundle)


def _recalibrate(options: argparse.Namespace) -> None:
    from training import report
    from training.command_recalibrate import recalibrate_named

    made, published = recalibrate_named(options)
    report.print_recalibration(made.record)
    if published is not None:
        print(f"published {published.path}; it answers by default once it is promoted")


def _networks(options: argparse.Namespace) -> None:
    from training import report
    from training.command_export import parse_arguments
    from training.loading import load_network
    from training.matching import describe_modules
    from training.networks import describe_networks

    if options.network is None and options.arguments:
        raise RecipeError("--argument: expected the name of a network to build with it")
    if options.network is None:
        report.print_networks(describe_networks())
    else:
        report.print_modules(describe_modules(load_network(options.network, parse_arguments(options.arguments))))


def _verify(options: argparse.Namespace) -> None:
    from training import report
    from training.verify_bundle import verify_bundle

    try:
        bundle = Bundle.open(options.bundle)
    except BundleError as error:
        raise BundleError(f"{options.bundle}: {error}") from error
    record = verify_bundle(bundle, options.network)
    report.print_layers(bundle.manifest.layers)
    report.print_verification(record)
    print(
        f"{options.bundle}: every file intact, every output within {record.tolerance:g}, "
        f"every tap within {record.tap_tolerance:g}"
    )


if __name__ == "__main__":
    sys.exit(main())
