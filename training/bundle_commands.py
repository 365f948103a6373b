"""This module is the commands that take a published version: report, calibrate, fold, publish. None needs torch.

What is made of a version is the next one of its model, a candidate: it answers no request that names none before it is
promoted. The version itself never changes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from models.copied import BundleCopy
from models.store import Publishable, Store
from training.named_bundles import open_folder, open_version


def add_bundle_commands(commands: Any) -> None:  # noqa: ANN401  what argparse calls it is private
    """Add the commands to those of ``bntrain``."""
    report = commands.add_parser("report", help="print everything worth knowing about a version")
    report.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    report.add_argument("--json", action="store_true", help="for machines: the manifest, and what is judged by it")
    report.set_defaults(command=_report)

    calibrate = commands.add_parser(
        "calibrate", help="calibrate a version's drift scores by held-out rows, and publish the next version"
    )
    calibrate.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    calibrate.add_argument(
        "rows", type=Path, metavar="ROWS.npz", help="that the network was not fitted to: one array an input"
    )
    _add_dry_run(calibrate)
    calibrate.set_defaults(command=_calibrate)

    fold = commands.add_parser("fold", help="fold a version anew, less far or further, and publish the next version")
    fold.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    fold.add_argument(
        "mode", choices=("fast", "complete"), help="how far: what gets faster, or all that has an exact form"
    )
    _add_dry_run(fold)
    fold.set_defaults(command=_fold)

    publish = commands.add_parser("publish", help="copy a version into a store, as the next one there")
    publish.add_argument("bundle", type=Path, help="STORE/MODEL/VERSION")
    publish.add_argument(
        "--store",
        type=Path,
        required="BNTRAIN_STORE" not in os.environ,
        default=os.environ.get("BNTRAIN_STORE"),
        help="where to; also as the variable BNTRAIN_STORE",
    )
    publish.add_argument("--name", help="the model that it becomes a version of (default: of the same name)")
    publish.add_argument(
        "--candidate",
        action="store_true",
        help="unless it is the first, it answers no request that names none before it is promoted",
    )
    publish.set_defaults(command=_publish)


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="report, and publish nothing")


# a report needs no runtime, and a copy none of all this: each command imports what it needs, and returns its report
def _report(options: argparse.Namespace) -> Callable[[], None]:
    from training.bundle_report import print_report, report_as_json

    bundle = open_folder(options.bundle)
    return partial(print, report_as_json(bundle)) if options.json else partial(print_report, bundle)


def _calibrate(options: argparse.Namespace) -> Callable[[], None]:
    from folding.held_out import calibrate_bundle
    from folding.rows import read_rows
    from training.bundle_report import print_atoms, print_calibrations

    store, bundle = open_version(options.bundle)
    found = calibrate_bundle(bundle, read_rows(options.rows))
    copy = BundleCopy(bundle=bundle, name=bundle.manifest.name, observing=found)
    told = "" if options.dry_run else _publish_candidate(store, copy)

    def tell() -> None:
        print_calibrations({"before": bundle.calibration(), "by these rows": found.calibration})
        print_atoms(found.atoms)
        print(told, end="")

    return tell


def _fold(options: argparse.Namespace) -> Callable[[], None]:
    from folding.refolding import refold_bundle
    from training import report

    store, bundle = open_version(options.bundle)
    draft = refold_bundle(bundle, mode=options.mode)
    told = "" if options.dry_run else _publish_candidate(store, draft)

    def tell() -> None:
        report.print_proof(draft)
        if (draft.observing is None or draft.observing.calibration is None) and bundle.calibration() is not None:
            print("not calibrated: other channels can be watched now; `bntrain calibrate` does it anew")
        print(told, end="")

    return tell


def _publish(options: argparse.Namespace) -> Callable[[], None]:
    from training.report import print_published

    _, bundle = open_version(options.bundle)
    store, copy = Store(Path(options.store)), BundleCopy(bundle=bundle, name=options.name or bundle.manifest.name)
    if options.candidate:
        return partial(print, _publish_candidate(store, copy), end="")
    return partial(print_published, store.publish(copy))


def _publish_candidate(store: Store, made: Publishable) -> str:
    """Publish it, and say in a line what became of it; a report follows only what could be published."""
    path = store.publish_candidate(made).path
    only = len(store.versions(made.name)) == 1
    return f"published {path}; it answers by default{'' if only else ' once it is promoted'}\n"
