"""This module is the command line of ``bntrain``: what every command takes. It imports nothing that takes long."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from training.bundle_commands import add_bundle_commands
from training.events import FORMS

Report = Callable[[], None]
"""Prints what became of a command, for whoever wants to know."""

Command = Callable[[argparse.Namespace], Report]
"""Does what was asked for, by what the command line says and ``interruption``; what it returns changes nothing more."""


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of the command line; ``command`` of what it returns does what was asked for.

    Args:
        commands: What to do, by the name of the command.
    """
    parser = argparse.ArgumentParser(prog="bntrain", description="Train, fold, verify and publish networks.")
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (purpose, add_arguments) in _ADDED.items():
        command = added.add_parser(name, help=purpose)
        add_arguments(command)
        command.set_defaults(command=commands[name])
    add_bundle_commands(added)
    return parser


def _fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a name in training/recipes, or a .yaml file")
    _add_store(parser)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change a field of the recipe"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path(os.environ.get("BNTRAIN_RUNS", "runs")),
        metavar="FOLDER",
        help="where the job is kept until it is done, under its name; also as BNTRAIN_RUNS (default: %(default)s)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="throw an unfinished job away instead of going on with it"
    )
    parser.add_argument(
        "--checkpoint-every-s",
        type=float,
        default=60.0,
        metavar="S",
        help="how much of the fit may be lost with the process (default: %(default)g)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="so many share every batch, each on a GPU where there are some (default: %(default)s)",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="LOGGER",
        dest="loggers",
        help="write the measures for tensorboard or mlflow too, beside metrics.csv in the job's folder",
    )
    parser.add_argument(
        "--progress",
        choices=FORMS,
        help="how it is told on stderr (default: a bar on a terminal, elsewhere JSON, a line an event)",
    )


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        required=True,
        help="package.module:factory, a name of `bntrain networks`, timm/NAME, torchvision/NAME",
    )
    parser.add_argument(
        "--argument", action="append", default=[], metavar="KEY=VALUE", dest="arguments", help="what to build it with"
    )
    parser.add_argument("--checkpoint", type=Path, help="its parameters, as torch.save wrote them, or .safetensors")
    parser.add_argument(
        "--input-shape",
        action="append",
        required=True,
        metavar="[NAME[:DATATYPE]=]3,224,224",
        dest="input_shapes",
        help="of one row of an input; once an input, in the order of the network's parameters",
    )
    parser.add_argument("--rows", type=Path, metavar="FILE.npz", help="real rows to verify with: one array an input")
    _add_publishing(parser)


def _statistics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a network's parameters, as `export --checkpoint` takes them")
    parser.add_argument("output", type=Path, help="where to write them with the new statistics, as torch.save does")
    parser.add_argument("--recipe", help="the network is of this recipe, and the rows are those it is fitted to")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="as in fit")
    parser.add_argument("--network", help="the network, as in export, where it is of no recipe")
    parser.add_argument(
        "--argument", action="append", default=[], metavar="KEY=VALUE", dest="arguments", help="as in export"
    )
    parser.add_argument("--rows", type=Path, metavar="FILE.npz", help="rows like those it was fitted to: one array")
    parser.add_argument(
        "--batch-rows", type=int, default=512, metavar="N", help="run together; the result is the same (default: 512)"
    )


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the ONNX file")
    parser.add_argument("--rows", type=Path, metavar="FILE.npz", help="real rows to verify with: one array an input")
    _add_publishing(parser)


def _recalibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    parser.add_argument("rows", type=Path, metavar="ROWS.npz", help="one array an input")
    parser.add_argument(
        "--prior-rows", type=int, default=0, metavar="N", help="so many rows the statistics that there are count as"
    )
    parser.add_argument(
        "--batch-rows", type=int, default=128, metavar="N", help="normalized together at most (default: %(default)s)"
    )
    parser.add_argument("--labels", metavar="KEY", help="the array of ROWS.npz that holds the rows' classes")
    parser.add_argument("--force", action="store_true", help="even if predictions collapse to few classes")
    parser.add_argument("--dry-run", action="store_true", help="report, and publish nothing")


def _networks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", nargs="?", help="as for export: list its modules")
    parser.add_argument(
        "--argument", action="append", default=[], metavar="KEY=VALUE", dest="arguments", help="what to build it with"
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    parser.add_argument("--network", help="package.module:factory, where the network is none of the library's")


def _study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="one of those in docs/studies")
    parser.add_argument(
        "--data",
        default="digits",
        metavar="FOLDER",
        help="with the four files of MNIST, gzipped or not; or digits, the small variant (default: %(default)s)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="of each fit (default: as its page says)")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default: as its page says)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/studies"),
        help="where page, plots and results go (default: %(default)s)",
    )
    parser.add_argument("--page-only", action="store_true", help="of the results that are there; nothing is measured")


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("BNTRAIN_STORE", "models/store")),
        help="where to publish; also as the variable BNTRAIN_STORE (default: %(default)s)",
    )


def _add_publishing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what to publish it as")
    parser.add_argument("--dry-run", action="store_true", help="fold, verify and report, and publish nothing")
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


_ADDED: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "fit": ("make a model by its recipe and publish its next version", _fit),
    "export": ("fold, verify and publish a network of your own", _export),
    "statistics": ("re-estimate the statistics of a checkpoint from rows, and write them to another", _statistics),
    "import": ("fold, verify and publish an ONNX file made elsewhere", _import),
    "recalibrate": ("re-estimate a version's statistics from rows, and publish the next version", _recalibrate),
    "networks": ("list the networks that have a name here, or what of one of them can be normalized", _networks),
    "study": ("measure a claim of the batch normalization paper, and write its page", _study),
    "verify": ("compare a published bundle with what it was made from, once more", _verify),
}
"""What every command is for, and what adds its arguments."""
