import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.__main__ import main

LONG = ["fit", "digits-mlp", "--set", "arguments={widths: [8]}", "--set"]
"""A fit of many epochs, if a number of them follows."""


def test_a_job_that_gets_sigterm_leaves_with_143_and_is_the_only_one_in_its_folder(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    command = [sys.executable, "-m", "training", *LONG, "epochs=100000", *store]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()

        beside = main([*LONG, "epochs=100000", *store])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    another = main([*LONG, "epochs=100001", *store])

    *lines, sentence = err.splitlines()
    refusals = capsys.readouterr().err.splitlines()
    assert json.loads(first)["event"] == "started"
    assert [json.loads(line)["event"] for line in lines][-2:] == ["checkpoint", "interrupted"]
    assert sentence == "bntrain: SIGTERM: the same command goes on"
    assert (process.returncode, out) == (143, "")
    assert (beside, another) == (75, 1)
    assert re.match(rf"bntrain: {runs}/digits-mlp: another job works there: process {process.pid} on", refusals[0])
    assert "an unfinished job is there that differs: epochs 100000 there, 100001 asked for" in refusals[1]
    assert not (tmp_path / "store").exists()


def test_help_says_where_jobs_are_kept(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])

    assert str(runs) in re.sub(r"\s+", "", capsys.readouterr().out)
