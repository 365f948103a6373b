"""What a client may make of the OpenAPI document; ``make fuzz`` does the same at length."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.store import Store
from tests.drafts import draft
from tests.service.running import ENVIRONMENT, Server, over_socket

EXAMPLES = int(os.environ.get("BNSERVE_FUZZ_EXAMPLES", "10"))
LEFT_OUT = "unload" if EXAMPLES > 10 else "unload|versions.*recalibrate"
"""A model that a client has unloaded is 503 from then on, and rightly. Requests to recalibrate start a process each:
where it is to be short, one of their two paths will do."""
CAN_NOT_BE_SAID = "positive_data_acceptance,negative_data_rejection"
"""Checks that take the schema for the whole truth: no schema says that as many numbers come as a shape has, nor that a
field which is null counts as left out."""


def fuzz(server: Server, *flags: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis ask whatever the document allows, and what it does not."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--checks", "all", "--exclude-checks", CAN_NOT_BE_SAID, "--max-examples", str(EXAMPLES)),
            *("--seed", "1", "--no-color", *flags),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        cwd=server.log.parent,  # it keeps what it found where it runs
        env=ENVIRONMENT,
    )


@pytest.fixture
def store_of_two(store: Store) -> Store:
    """A store with the models that the document's examples name."""
    for name in ("digits", "digits-mlp"):
        store.publish(draft(name))
    return store


@pytest.mark.parametrize(
    ("service_flags", "fuzz_flags"),
    [
        ([], ["--exclude-path-regex", LEFT_OUT]),
        (["--repository-control", "false"], []),
    ],
    ids=["with control", "without control"],
)
def test_nothing_that_is_asked_is_an_error_of_the_server(
    store_of_two: Store, tmp_path: Path, service_flags: Sequence[str], fuzz_flags: Sequence[str]
) -> None:
    with over_socket(store_of_two.root, tmp_path / "log", *service_flags) as server:
        server.wait_until_ready()

        run = fuzz(server, *fuzz_flags)

    assert run.returncode == 0, run.stdout
    assert "Traceback" not in server.log.read_text()
