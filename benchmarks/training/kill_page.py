"""This module writes the page of the study of kills."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.kill_table import kill_page
from benchmarks.training.kill import Result

_TITLE = """# Jobs, killed

Made on {date} with {machine}, by

    {command}

`bntrain fit` was killed at random moments and started again until it was done, each round in an empty folder with one
to four kills, some of them aimed at a checkpoint or a version being written. In every fourth round the newest
checkpoint had a bit flipped, or was cut off, between two processes. What was published was compared with what the same
command published that was never killed: every file of the bundle, and every word of its manifest but when it was made
and how long that took. The processes were forked from one that had imported the libraries and done nothing else. How a
job is kept is told in [jobs](jobs.md).

"""

_ROWS = (
    ("steps of the fit", lambda result: result.steps),
    ("rounds", lambda result: result.rounds),
    ("kills", lambda result: result.kills.total()),
    ("fits that went on from a checkpoint", lambda result: result.resumed),
    ("kills after which a checkpoint lay there half-written", lambda result: result.beginnings["checkpoint"]),
    ("kills after which a version lay there half-written", lambda result: result.beginnings["publishing"]),
    ("checkpoints damaged", lambda result: result.damaged),
    ("of these told of, and passed over", lambda result: result.told),
    ("published files compared", lambda result: result.files),
    ("problems, files that differ among them", lambda result: len(result.problems)),
)


def page(command: str, results: Sequence[Result]) -> str:
    """The page, in Markdown.

    Args:
        command: By which it is made.
        results: By job.
    """
    by_subject = {result.job: result for result in results}
    return kill_page(_TITLE, command, _ROWS, by_subject, libraries=("torch", "lightning"))
