"""This module is what ``bntrain study`` does with its arguments."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import torch

from training.errors import StudyError
from training.studies import study_named
from training.studies.data import DIGITS, load_study_data
from training.studies.study import run, write_page

PROJECT_FOLDERS = (Path("docs/studies"), Path("runs/studies"))


def study_as_told(options: argparse.Namespace) -> Path:
    """Measure what the options name, write its page and return where that is; or only write the page anew.

    Raises:
        StudyError: If there is no such study, or its data or results can't be read.
    """
    study = study_named(options.name)
    if options.page_only:
        return write_page(study, options.output)
    for name in ("steps", "seeds"):
        given = getattr(options, name)
        if given is not None and given < 1:
            raise StudyError(f"--{name}: expected at least 1, got {given}")
    torch.set_num_threads(1)  # networks this small gain nothing from a second one; and the same sums on every machine
    run(
        study,
        load_study_data(options.data),
        steps=options.steps or study.steps,
        seeds=options.seeds or study.seeds,
        command=_command(options),
        folder=options.output,
    )
    return write_page(study, options.output)


def _command(options: argparse.Namespace) -> str:
    """What was typed, without the name of anyone's folder; the project's own are told."""
    data = options.data if options.data == DIGITS else "FOLDER"
    parts = ["bntrain", "study", options.name, "--data", data]
    for name in ("steps", "seeds"):
        if getattr(options, name) is not None:
            parts += [f"--{name}", str(getattr(options, name))]
    return shlex.join([*parts, "--output", str(options.output) if options.output in PROJECT_FOLDERS else "OUTPUT"])
