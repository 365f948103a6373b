"""This module is the whole job: a recipe in, a verified bundle in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from folding.errors import one_line
from models.bundle import Bundle
from models.draft import BundleDraft
from models.errors import BundleError
from models.manifest import MANIFEST_FILE, parse_manifest
from models.store import Store
from training.drafting import Tell, draft_fitted, with_population_statistics
from training.environment import read_environment
from training.kept_fit import Runs, kept_fit
from training.preparation import prepare
from training.processes import ALONE, Processes, rank
from training.recipe import Recipe


def run(recipe: Recipe, store: Store, runs: Runs, processes: Processes = ALONE) -> Bundle | None:
    """Fit, re-estimate the statistics, fold, verify, calibrate, publish, and tell how far it is.

    It is kept in a folder: it can be killed and run again. It may be several processes.

    Args:
        recipe: What to fit, and how.
        store: Where to publish.
        runs: How the job is kept.
        processes: How many fit it, of which this is one.

    Returns:
        What was published; None in a process that another one has started.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
        Interrupted: If the job was asked to leave; run again, it goes on.
    """
    data = recipe.data.load()
    network, standardization = prepare(recipe, data)
    folder, tell = runs.folder, runs.folder.events.tell
    if rank() == 0:
        described = data.record()
        begun = folder.begin(recipe, data=described.sha256, environment=read_environment(), restart=runs.restart)
    with _failure_told(tell):
        figures = kept_fit(network, data, recipe, runs, processes)
        tell("fitted", **asdict(figures))
        fitted = with_population_statistics(network, data, figures, standardization)
        if rank() != 0:
            return None
        tell("statistics", rows=fitted.rows)
        made = draft_fitted(fitted, data, described, recipe, tell)
        bundle = _already_published(store, made, begun.started) or store.publish(made)
    runs.interruption.ignore()  # nothing is left that the same command could go on with
    folder.finish(begun, bundle.manifest.version)
    tell("published", version=bundle.manifest.version, path=str(bundle.path))
    return bundle


@contextlib.contextmanager
def _failure_told(tell: Tell) -> Iterator[None]:
    """In this context whatever ends the job, but for a signal, is told of."""
    try:
        yield
    except Exception as error:
        tell("failed", reason=one_line(error))
        raise


def _already_published(store: Store, made: BundleDraft, since: datetime) -> Bundle | None:
    """What an earlier run of this job published before its process was killed, without a moment to say so.

    The record of the training has how long the fit took, to the millisecond, as the folder keeps it. What was made of
    the version since then has the same record, and a higher number. Versions of others may be damaged.
    """
    for version in store.versions(made.name):
        with contextlib.suppress(BundleError, OSError):
            manifest = parse_manifest((store.bundle_path(made.name, version) / MANIFEST_FILE).read_bytes())
            if manifest.created >= since and manifest.training == made.training:
                return store.open(made.name, version)
    return None
