"""This module is what ``bntrain`` exits with: one table, for shells and for what starts jobs.

An orchestrator starts a job again after 75, 130 and 143, and gives up after 1 and 2. The codes are those of shells
(128 + the signal) and of ``sysexits.h`` (75, ``EX_TEMPFAIL``).
"""

from __future__ import annotations

import errno
from enum import IntEnum

from training.errors import JobHeld

TEMPORARY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a file system may have room for later: no space, no quota, a file over the limit of this process."""


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    """It can't be done as asked; the same command fails again."""
    USAGE = 2
    """The command line was not understood."""
    TRY_LATER = 75
    """Another job holds the folder, or a disk is full: the same command may succeed later, and continues."""
    INTERRUPTED = 130
    """By SIGINT; the same command continues."""
    TERMINATED = 143
    """By SIGTERM; the same command continues."""


def code_of_error(error: BaseException) -> ExitCode:
    """What an error makes a command exit with, by itself and by what caused it."""
    if isinstance(error, JobHeld):
        return ExitCode.TRY_LATER
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in TEMPORARY:
            return ExitCode.TRY_LATER
        cause = cause.__cause__
    return ExitCode.FAILED
