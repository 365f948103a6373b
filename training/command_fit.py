"""This module is what ``bntrain fit`` does: the whole job, kept in a folder, until it is done or asked to leave."""

from __future__ import annotations

import argparse
import sys

from models.bundle import Bundle
from models.store import Store
from training import job
from training.events import form_of
from training.interruption import Interruption
from training.job_folder import open_job_folder
from training.kept_fit import Runs
from training.recipe import load_recipe


def fit_named(options: argparse.Namespace) -> Bundle:
    """Run a recipe's job, or go on with it.

    Raises:
        TrainingError, GraphError, ModelsError: If it can't be done.
        Interrupted: If SIGTERM or SIGINT asked it to leave; the same command goes on.
    """
    recipe = load_recipe(options.recipe, options.changes)
    form = options.progress or form_of(sys.stderr)
    with Interruption() as interruption, open_job_folder(options.runs / recipe.name, form) as folder:
        try:
            return job.run(
                recipe, Store(options.store), Runs(folder, interruption, options.checkpoint_every_s, options.restart)
            )
        finally:
            if interruption.received is not None:
                folder.events.tell("interrupted", signal=int(interruption.received))
