import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from models.durable import locked_folder, replace_file, write_file

PROCESSES = multiprocessing.get_context("forkserver")


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"first")

    with pytest.raises(FileExistsError):
        write_file(path, b"second")

    assert path.read_bytes() == b"first"


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a long first text")

    replace_file(path, b"second")

    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  hidden ones too


def test_a_file_that_can_not_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()

    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", b"second")

    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  hidden ones too


def add_often(path: Path, done: Connection) -> None:
    for _ in range(50):
        with locked_folder(path.parent):
            replace_file(path, str(int(path.read_text()) + 1).encode())
    done.send(True)


def test_processes_that_change_a_locked_folder_do_so_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    received, done = PROCESSES.Pipe(duplex=False)
    processes = [PROCESSES.Process(target=add_often, args=(path, done)) for _ in range(2)]

    for process in processes:
        process.start()
    finished = [received.recv() for _ in processes]

    assert finished == [True, True]
    assert path.read_text() == "100"
    for process in processes:
        process.join()
