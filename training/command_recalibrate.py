"""This module is what ``bntrain recalibrate`` does with its arguments."""

from __future__ import annotations

import argparse

from folding.errors import RecalibrationError
from folding.recalibration import Recalibrated, recalibrate
from folding.rows import read_rows
from models.bundle import Bundle
from training.named_bundles import open_version


def recalibrate_named(options: argparse.Namespace) -> tuple[Recalibrated, Bundle | None]:
    """Recalibrate the version that the options name, and publish what comes of it unless it is a dry run.

    The new version answers no request that names none before it is promoted.

    Raises:
        GraphError: If it can't be recalibrated; nothing is published then.
        ModelsError: If there is no such version, or the store can't be written to.
    """
    store, bundle = open_version(options.bundle)
    rows = read_rows(options.rows)
    labels = None
    if options.labels is not None:
        if options.labels not in rows:
            raise RecalibrationError(f"--labels: expected one of the arrays {sorted(rows)}, got {options.labels!r}")
        labels = rows.pop(options.labels)
    made = recalibrate(
        bundle,
        rows,
        prior_rows=options.prior_rows,
        batch_rows=options.batch_rows,
        labels=labels,
        force=options.force,
        data=options.rows.name,
    )
    return made, None if options.dry_run else store.publish_candidate(made.draft)
