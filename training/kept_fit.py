"""This module fits a network once, in however many runs that takes: each goes on where the one before was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import nn

from folding.errors import one_line
from training.checkpointing import Keeping
from training.checkpoints import Checkpoints
from training.data import LabelledRows, Splits
from training.errors import CheckpointError
from training.fit import Fit, fit
from training.interruption import Interruption
from training.job_folder import JobFolder
from training.loggers import make_loggers
from training.processes import ALONE, Processes, rank
from training.random_state import read_random_state, set_random_state
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Runs:
    """How a job is run, so that it can be run again.

    Attributes:
        folder: Where it is kept.
        interruption: What may ask it to leave.
        checkpoint_every_s: How many seconds of a fit may be lost with its process.
        restart: Whether an unfinished job in the folder is thrown away.
        loggers: What its measures are written for beside the folder's CSV file: names of ``training/loggers.py``.
    """

    folder: JobFolder
    interruption: Interruption
    checkpoint_every_s: float = 60.0
    restart: bool = False
    loggers: Sequence[str] = ()


def kept_fit(
    network: nn.Module, data: Splits[LabelledRows], recipe: Recipe, runs: Runs, processes: Processes = ALONE
) -> Fit:
    """Fit a network in place, go on fitting it, or take what an earlier run fitted. The numbers are the same.

    Raises:
        TrainingError: As ``fit`` does.
        Interrupted: If the job was asked to leave; what there is by then is kept.
    """
    state = runs.folder.fitted()
    if state is None:
        with runs.interruption.deferred():
            checkpoints = Checkpoints(runs.folder.checkpoints, runs.folder.events)
            keeping = Keeping(checkpoints, runs.checkpoint_every_s, runs.interruption)
            fitted = fit(
                network,
                data,
                recipe,
                loggers=make_loggers(runs.loggers, runs.folder.path, runs.folder.events),
                events=runs.folder.events,
                keeping=keeping,
                processes=processes,
            )
            if rank() == 0:
                runs.folder.keep_fitted(
                    {"network": network.state_dict(), "figures": asdict(fitted), "random": read_random_state()}
                )
        return fitted
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{runs.folder.checkpoints}: what was fitted is of another network: {one_line(error)}"
        ) from error
    network.eval()
    set_random_state(state["random"])
    return Fit(**state["figures"])
