"""This module is what ``bntrain fit`` does: the whole job, kept in a folder, until it is done or asked to leave."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator

from models.bundle import Bundle
from models.store import Store
from training import job
from training.errors import DataError, RecipeError, TrainingError
from training.events import Events, form_of
from training.interruption import Interrupted
from training.job_folder import JobFolder, open_job_folder
from training.kept_fit import Runs
from training.processes import Processes, rank
from training.recipe import load_recipe


def fit_named(options: argparse.Namespace) -> Bundle | None:
    """Run a recipe's job, or go on with it; signals are those of ``options.interruption``, which is entered.

    Returns:
        What was published; None in a process that the command has started to help.

    Raises:
        TrainingError, GraphError, ModelsError: If it can't be done.
        Interrupted: If SIGTERM or SIGINT asked it to leave; the same command goes on.
    """
    if options.processes < 1:
        raise RecipeError(f"--processes: expected at least 1, got {options.processes}")
    if not options.checkpoint_every_s > 0:  # nor is NaN
        raise RecipeError(f"--checkpoint-every-s: expected more than 0, got {options.checkpoint_every_s:g}")
    recipe = load_recipe(options.recipe, options.changes)
    interruption = options.interruption
    with _open_folder(options, recipe.name) as folder:
        runs = Runs(folder, interruption, options.checkpoint_every_s, options.restart, tuple(options.loggers))
        try:
            return job.run(recipe, Store(options.store), runs, Processes(options.processes))
        except TrainingError as error:
            if rank() == 0 or isinstance(error, DataError):  # the others know nothing of what this one could not read
                raise
            return None  # they all fail; the one that speaks for all says why, and is not to be killed over this one
        except Interrupted as interrupted:
            if rank() != 0:
                return None  # the one that speaks for all says so; for it, a process that fails is a failure of the job
            interrupted.add_note("the same command goes on")
            raise
        finally:
            if interruption.received is not None:
                folder.events.tell("interrupted", signal=int(interruption.received))


@contextlib.contextmanager
def _open_folder(options: argparse.Namespace, name: str) -> Iterator[JobFolder]:
    path = options.runs / name
    if rank() != 0:
        Processes(options.processes).refuse_stranger()
        yield JobFolder(path, Events("silent"))
        return
    with open_job_folder(path, options.progress or form_of(sys.stderr)) as folder:
        yield folder
