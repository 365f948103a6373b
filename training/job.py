"""This module is the whole job: a recipe in, a verified bundle in the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from models.bundle import Bundle
from models.draft import BundleDraft
from models.store import Store
from training.data import load_data
from training.drafting import draft_fitted, with_population_statistics
from training.environment import read_environment
from training.fit import fit
from training.kept_fit import Runs, kept_fit
from training.preparation import prepare
from training.processes import ALONE, Processes, rank
from training.recipe import Recipe


def run(recipe: Recipe, store: Store) -> Bundle:
    """Fit, re-estimate the statistics, fold, verify, calibrate, publish.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
    """
    data = load_data(recipe.data)
    network, standardization = prepare(recipe, data)
    figures = fit(network, data, recipe)
    fitted = with_population_statistics(network, data, figures, standardization)
    return store.publish(draft_fitted(fitted, data, recipe, _untold))


def run_kept(recipe: Recipe, store: Store, runs: Runs, processes: Processes = ALONE) -> Bundle | None:
    """The same in a folder: the job can be killed and run again. It tells how far it is, and may be several processes.

    Args:
        recipe: What to fit, and how.
        store: Where to publish.
        runs: How the job is kept.
        processes: How many fit it, of which this is one.

    Returns:
        What was published; None in a process that another one has started.

    Raises:
        TrainingError, GraphError, StoreError: As above.
        Interrupted: If the job was asked to leave; run again, it goes on.
    """
    data = load_data(recipe.data)
    network, standardization = prepare(recipe, data)
    folder, tell = runs.folder, runs.folder.events.tell
    if rank() == 0:
        begun = folder.begin(recipe, data=data.record().sha256, environment=read_environment(), restart=runs.restart)
    figures = kept_fit(network, data, recipe, runs, processes)
    tell("fitted", **asdict(figures))
    fitted = with_population_statistics(network, data, figures, standardization)
    if rank() != 0:
        return None
    tell("statistics", rows=fitted.rows)
    made = draft_fitted(fitted, data, recipe, tell)
    bundle = _already_published(store, made, begun.started) or store.publish(made)
    folder.finish(begun, bundle.manifest.version)
    tell("published", version=bundle.manifest.version, path=str(bundle.path))
    return bundle


def _untold(event: str, **fields: object) -> None:
    del event, fields


def _already_published(store: Store, made: BundleDraft, since: datetime) -> Bundle | None:
    """What an earlier run of this job published before its process was killed, without a moment to say so.

    The record of the training has how long the fit took, to the millisecond, as the folder keeps it.
    """
    for version in reversed(store.versions(made.name)):
        bundle = store.open(made.name, version)
        if bundle.manifest.created < since:
            break
        if bundle.manifest.training == made.training:
            return bundle
    return None
