"""Recalibration over a real socket: digits are brighter than in training, which is mended without training."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from models.store import Store
from tests import committed
from tests.service.running import Server, over_socket
from tests.service.wire import Sent, body_of, read_answer

ROOT = Path(__file__).parents[2]
HEADER_LENGTH = "Inference-Header-Content-Length"
RECALIBRATE = "/v2/models/digits/normalization/recalibrate"
BASH = shutil.which("bash")
SEEN_ROWS = 400

DIGITS = load_digits()
BRIGHTER = (6 + 0.5 * DIGITS.images).astype(np.float32)[:, None]
"""Other brightness, less contrast: what a lamp or a camera's setting does."""


@pytest.fixture
def digits(tmp_path: Path) -> Store:
    """A store of its own with a copy of the committed bundle."""
    return committed.copy_committed(tmp_path / "store", committed.DIGITS)


@pytest.fixture(params=[[], ["--workers", "2", "--warm-up-s", "0"]], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest, digits: Store, tmp_path: Path) -> Iterator[Server]:
    """The command on that store, keeping rows."""
    flags: Sequence[str] = request.param
    with over_socket(digits.root, tmp_path / "log", "--reservoir-rows", str(SEEN_ROWS), *flags) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A plain HTTP client, on one connection and so with one worker."""
    with httpx.Client(base_url=server.url, timeout=300) as connected:
        yield connected


def sent(rows: NDArray[np.float32]) -> dict[str, Any]:
    """Rows as bytes, as httpx takes a request."""
    body, header_length = body_of([Sent("image", "FP32", rows, "bytes")])
    return {"content": body, "headers": {HEADER_LENGTH: str(header_length)}}


def accuracy(client: httpx.Client, of: str = "/v2/models/digits") -> float:
    """Of the digits that were not used to recalibrate."""
    answer = client.post(f"{of}/infer", **sent(BRIGHTER[SEEN_ROWS:])).raise_for_status()
    _, outputs = read_answer(answer.content, None)
    return float((outputs["logits"].argmax(axis=1) == DIGITS.target[SEEN_ROWS:]).mean())


def test_brighter_digits_are_read_again_once_the_candidate_is_promoted(server: Server, client: httpx.Client) -> None:
    """No label is needed, the default answers on as before, and the promotion is what changes it."""
    broken = accuracy(client)

    answer = client.post(RECALIBRATE, **sent(BRIGHTER[:SEEN_ROWS])).raise_for_status().json()

    server.wait_until_ready("/v2/models/digits/versions/2/ready")
    listed = client.post("/v2/repository/index").json()
    candidate = accuracy(client, "/v2/models/digits/versions/2")
    assert answer["model_version"] == "2"
    assert [(entry["version"], entry["state"]) for entry in listed] == [("1", "READY"), ("2", "READY")]
    assert broken < 0.5  # three digits of ten
    assert accuracy(client) == broken
    assert candidate > 0.95  # 99 of a hundred, as of the digits that are as in training
    client.post(answer["promote"]["path"], json=answer["promote"]["body"]).raise_for_status()
    assert accuracy(client) == candidate


def test_the_rows_that_were_answered_do_too(client: httpx.Client) -> None:
    """Whoever has no data at hand has the traffic."""
    for start in range(0, SEEN_ROWS, 50):
        client.post("/v2/models/digits/infer", **sent(BRIGHTER[start : start + 50])).raise_for_status()

    record = client.post(RECALIBRATE).raise_for_status().json()["recalibration"]

    (output,) = record["outputs"]
    assert record["rows"] == SEEN_ROWS
    assert len(output["predictions"]["after"]) == 10
    assert output["predictions"]["entropy_after"] > 2.25  # of ten digits equally often: 2.30


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_the_example_tells_how_many_digits_are_right(server: Server) -> None:
    """It is the story above, with Triton's client."""
    command = [sys.executable, str(ROOT / "examples" / "recalibrate_digits.py"), server.address]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    shares = [
        float(share) for share in re.findall(r"^version \d: ([0-9.]+)% of the digits are right$", done.stdout, re.M)
    ]
    assert len(shares) == 2, done.stderr
    assert shares[0] < 50
    assert shares[1] > 95


@pytest.mark.skipif(BASH is None or shutil.which("curl") is None, reason="the page's commands are for a shell")
@pytest.mark.parametrize("server", [[]], indirect=True)
def test_the_commands_of_the_page_recalibrate_and_promote(server: Server) -> None:
    """The commands of docs/recalibration.md, run by a shell as they stand there."""
    page = (ROOT / "docs" / "recalibration.md").read_text()
    found = re.search(r"^    python -c .*?\n\n", page, re.M | re.S)
    assert found is not None
    assert BASH is not None
    commands = (
        textwrap.dedent(found[0]).replace("localhost:8000", server.address).replace("python ", f"{sys.executable} ")
    )

    done = subprocess.run(
        [BASH, "-ec", commands], capture_output=True, text=True, check=False, timeout=300, cwd=server.log.parent
    )

    recalibrated, end = json.JSONDecoder().raw_decode(done.stdout)
    assert recalibrated["model_version"] == "2", done.stderr
    assert json.loads(done.stdout[end:]) == {"name": "digits", "version": "2", "previous": "1"}
