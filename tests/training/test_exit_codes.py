import errno
import os
import re
from pathlib import Path

import pytest

from models.errors import StoreError
from training.errors import JobError, JobHeld, RecipeError
from training.exit_codes import ExitCode, code_of_error

PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"


def caused(error: Exception, number: int) -> Exception:
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecipeError("unknown"), 1),
        (JobError("another is unfinished"), 1),
        (JobHeld("held"), 75),
        (caused(StoreError("full"), errno.ENOSPC), 75),
        (caused(StoreError("quota"), errno.EDQUOT), 75),
        (caused(StoreError("denied"), errno.EACCES), 1),
        (caused(JobError("full"), errno.ENOSPC), 75),
    ],
    ids=str,
)
def test_what_may_pass_has_a_code_of_its_own(error: Exception, code: int) -> None:
    assert code_of_error(error) == code


def test_every_code_is_documented() -> None:
    documented = re.findall(r"^\| (\d+) \|", PAGE.read_text(), flags=re.MULTILINE)

    assert documented == [str(int(code)) for code in ExitCode]
