import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.examples import short_recipe
from training.errors import JobError, JobHeld
from training.events import Events
from training.exit_codes import code_of_error
from training.job_folder import JobFolder, JobRecord, open_job_folder
from training.recipe import load_recipe

DATA, OTHER_DATA = "a" * 64, "b" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "digits-mlp"


@pytest.fixture
def folder(path: Path) -> Iterator[JobFolder]:
    with open_job_folder(path, "lines") as folder:
        yield folder


def begin(folder: JobFolder, *changes: str, data: str = DATA, restart: bool = False, threads: int = 1) -> JobRecord:
    return folder.begin(short_recipe(*changes), data=data, environment={"threads": threads}, restart=restart)


def test_a_new_job_writes_down_what_it_is(folder: JobFolder) -> None:
    record = begin(folder)

    written = json.loads((folder.path / "job.json").read_text())
    assert written["recipe"] == short_recipe().model_dump(mode="json")
    assert (written["data"], written["published"], record.published) == (DATA, None, None)


def test_the_resolved_recipe_is_one_that_can_be_fitted(folder: JobFolder) -> None:
    begin(folder, "seed=5")

    assert load_recipe(str(folder.path / "recipe.yaml")) == short_recipe("seed=5")


def test_an_unfinished_job_is_gone_on_with(folder: JobFolder) -> None:
    first = begin(folder)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "kept").write_text("")

    again = begin(folder)

    assert again == first
    assert (folder.checkpoints / "kept").exists()


@pytest.mark.parametrize("restart", [False, True])
def test_a_finished_job_is_put_aside_for_the_next(folder: JobFolder, restart: bool) -> None:
    folder.events.tell("started")
    first = begin(folder)
    folder.finish(first, 3)

    second = begin(folder, "epochs=7", restart=restart)  # another recipe is welcome then

    (past,) = (folder.path / "past").iterdir()
    assert second.published is None
    assert past.name.startswith("version-3-")
    assert sorted(entry.name for entry in past.iterdir()) == ["job.json", "log.jsonl", "recipe.yaml"]
    assert sorted(entry.name for entry in folder.path.iterdir()) == ["job.json", "lock", "past", "recipe.yaml"]


def test_another_recipe_is_refused_while_a_job_is_unfinished(folder: JobFolder) -> None:
    begin(folder)

    with pytest.raises(JobError) as raised:
        begin(folder, "epochs=9", "seed=2")

    assert str(raised.value) == (
        f"{folder.path}: an unfinished job is there that differs: epochs 2 there, 9 asked for; seed 1 there, 2 asked "
        "for. The same recipe continues it, --restart throws it away, --runs names another folder"
    )


def test_other_data_is_refused_while_a_job_is_unfinished(folder: JobFolder) -> None:
    begin(folder)

    with pytest.raises(JobError, match="differs: the data itself, SHA-256 aaaaaaaaaaaa there, bbbbbbbbbbbb now"):
        begin(folder, data=OTHER_DATA)


def test_a_restart_throws_the_unfinished_job_away(folder: JobFolder) -> None:
    begin(folder)
    folder.keep_fitted({"a": 1})

    begin(folder, "epochs=9", restart=True)

    assert folder.fitted() is None
    assert json.loads((folder.path / "job.json").read_text())["recipe"]["epochs"] == 9


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints/epoch=3.ckpt"])
def test_what_no_job_has_written_stays_in_its_folder(path: Path, name: str) -> None:
    mine = path / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    with open_job_folder(path, "lines") as folder:
        for _ in range(2):
            begun = begin(folder, restart=True)
        folder.finish(begun, 1)
        begin(folder)

    assert mine.read_text() == "mine"


def test_checkpoints_without_a_job_are_nobody_s(folder: JobFolder) -> None:
    folder.keep_fitted({"of": "what?"})

    begin(folder)

    assert folder.fitted() is None


def test_a_description_that_can_t_be_read_is_named(folder: JobFolder) -> None:
    begin(folder)
    (folder.path / "job.json").write_text("{")

    with pytest.raises(JobError, match=r"job\.json: expected what this version writes of a job.*--restart"):
        begin(folder)
    assert begin(folder, restart=True) == begin(folder)


def test_another_environment_is_told_of(folder: JobFolder, capsys: pytest.CaptureFixture[str]) -> None:
    begin(folder)

    begin(folder, threads=2)

    assert capsys.readouterr().err == "environment-changed  threads 1 before, 2 now\n"


def test_what_was_fitted_is_kept(folder: JobFolder) -> None:
    begin(folder)

    folder.keep_fitted({"figures": {"seconds": 1.5}})

    assert folder.fitted() == {"figures": {"seconds": 1.5}}


def test_what_was_fitted_and_is_damaged_is_fitted_again(folder: JobFolder, capsys: pytest.CaptureFixture[str]) -> None:
    begin(folder)
    folder.keep_fitted({"figures": {"seconds": 1.5}})
    (path,) = folder.checkpoints.iterdir()
    path.write_bytes(path.read_bytes()[:-1])

    found = folder.fitted()

    assert found is None
    assert capsys.readouterr().err.startswith("checkpoint-damaged  file ")


def test_what_a_killed_process_began_to_write_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "past" / "digits"
    begun = path / "checkpoints" / f".step-000000000001-0123456789abcdef.pt-{'0' * 32}"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"half")

    with open_job_folder(path, "lines"):
        pass

    assert not begun.exists()


def test_a_second_job_in_the_same_folder_is_refused_and_told_who_is_there(folder: JobFolder) -> None:
    another = open_job_folder(folder.path, "lines")

    with pytest.raises(JobHeld, match=rf"another job works there: process {os.getpid()} on host \S+; --runs"):
        another.__enter__()


def test_a_job_that_was_killed_holds_nothing(path: Path) -> None:
    code = (
        "import sys, os, signal, pathlib; from training.job_lock import held_folder\n"
        "with held_folder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    with open_job_folder(path, "lines") as folder:
        begin(folder)

    assert (path / "lock").exists()


def test_a_folder_that_can_t_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")

    job = open_job_folder(tmp_path / "runs" / "digits", "lines")

    with pytest.raises(JobError, match="runs/digits: expected a folder that can be written to: Not a directory"):
        job.__enter__()


def test_a_disk_that_is_full_from_the_start_may_have_room_later(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(path)]
    if subprocess.run(options, check=False).returncode:
        pytest.skip("no right to mount a file system")
    try:
        (path / "others").write_bytes(b"x" * 4096)
        with (
            open_job_folder(path / "digits", "lines") as folder,
            pytest.raises(JobError, match="No space left") as raised,
        ):
            begin(folder)
    finally:
        subprocess.run(["umount", path], check=True)  # noqa: S607

    assert code_of_error(raised.value) == 75
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ENOSPC


def test_events_are_kept_with_the_job(folder: JobFolder) -> None:
    assert folder.events == Events("lines", log=folder.path / "log.jsonl")
