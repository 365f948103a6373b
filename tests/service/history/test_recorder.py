import logging
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import URL, text

from benchmarks.history.check import check
from benchmarks.history.postgres import PostgresServer
from service.errors import HistoryUnavailable
from service.history.buffer import BufferLimits
from service.history.database import Database
from service.history.recorder import Recorder
from service.history.retention import Retention
from service.history.schema import upgrade
from service.history.urls import parse_url, sqlite_url
from tests.service.history.conftest import NewDatabase
from tests.service.history.parts import DEADLINE_S, HURRIED, NOON, Told, kept_for_ever, read, record, until_true, window

ROOT = Path(__file__).parents[3]
AT_ONCE_S = 0.5
"""More than what never waits takes on a busy machine, and half of the shortest wait there is, the timeout of 1 s."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_a_recorder_tells_what_is_stored_after_it_is(url: URL) -> None:
    one = window()
    told = Told()

    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        recorder.record(one)
        told.wait_for(1)
        found = check(url, set(told.identities))
        status = recorder.status()

    assert told.identities == [one.id]
    assert (found.windows, found.problems) == (1, ())
    assert (status.connected, status.problem, status.stored, status.dropped) == (True, None, 1, 0)
    assert status.last_stored is not None
    assert abs(status.last_stored - datetime.now(UTC)) < timedelta(minutes=1)


def test_history_goes_on_after_a_restart(url: URL) -> None:
    record(url, window())

    record(url, window())

    assert [day.windows for day in read(url, "day")] == [2]


def test_what_waits_is_stored_when_a_recorder_is_closed(url: URL) -> None:
    recorder = Recorder(url, kept_for_ever())
    for _ in range(1000):
        recorder.record(window())

    recorder.start()
    recorder.close(DEADLINE_S)

    status = recorder.status()
    assert (status.stored, status.dropped, status.buffered) == (1000, 0, 0)
    assert [day.windows for day in read(url, "day")] == [1000]


def test_a_window_that_comes_after_the_end_is_counted_as_dropped(url: URL) -> None:
    recorder = Recorder(url, HURRIED)
    recorder.start()
    recorder.close()

    recorder.record(window())

    assert recorder.status().dropped == 1


def test_a_recorder_that_was_never_started_can_be_closed(url: URL) -> None:
    recorder = Recorder(url, HURRIED)
    recorder.record(window())

    recorder.close()

    assert recorder.status().dropped == 1


def test_a_database_that_refuses_is_told_and_what_overflows_is_counted() -> None:
    url = parse_url(f"postgresql://me:secret@127.0.0.1:{free_port()}/bn")
    options = replace(HURRIED, limits=BufferLimits(windows=10))

    with Recorder(url, options) as recorder:
        for _ in range(15):
            recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        status = recorder.status()
        recorder.close(0.1)

    assert not status.connected
    assert "refused" in (status.problem or "")
    assert "secret" not in f"{status.problem} {status.url}"
    assert (status.buffered, status.dropped, status.stored) == (10, 5, 0)
    assert recorder.status().dropped == 15


def test_a_database_that_never_answers_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        recorder = Recorder(parse_url(f"postgresql://me@127.0.0.1:{listening.getsockname()[1]}/bn"), HURRIED)
        recorder.start()

        before = time.monotonic()
        recorder.record(window())
        recorder.status()
        recorded_s = time.monotonic() - before
        until_true(lambda: recorder.status().problem is not None)
        before = time.monotonic()
        recorder.close(0.1)
        closed_s = time.monotonic() - before

    assert re.search(r"timeout expired|no answer within 2 s", recorder.status().problem or "")
    assert recorded_s < AT_ONCE_S
    assert closed_s < 0.1 + AT_ONCE_S
    assert "history: 1 windows were not stored when the service ended" in caplog.messages


def test_a_database_that_comes_later_gets_what_was_recorded_before(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.write_text("a file where the folder should be")
    url = sqlite_url(folder / "history.sqlite")
    told = Told()

    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        problem = recorder.status().problem
        folder.unlink()
        told.wait_for(1)

    assert f"the folder of the SQLite file {folder / 'history.sqlite'} can't be made" in (problem or "")
    assert [day.windows for day in read(url, "day")] == [1]


def test_a_lost_and_a_regained_database_are_logged_once_each(
    postgres: PostgresServer, new_schema: NewDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.history")
    url = new_schema()
    told = Told()

    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().connected)
        postgres.kill()
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        recorder.record(window())
        postgres.start()
        told.wait_for(3)

    lines = [line for line in caplog.messages if line.startswith("history: ")]
    assert len(lines) == 3
    assert lines[0].startswith("history: windows go to postgresql")
    assert lines[1].endswith("; windows wait in memory until it is back")
    assert lines[2].endswith(" again")
    assert [day.windows for day in read(url, "day")] == [3]


def test_a_database_that_stands_still_is_a_lost_one(postgres: PostgresServer, new_schema: NewDatabase) -> None:
    url = new_schema()
    told = Told()

    with Recorder(url, kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        told.wait_for(1)
        postgres.freeze(frozen=True)
        try:
            before = time.monotonic()
            recorder.record(window())
            recorded_s = time.monotonic() - before
            until_true(lambda: recorder.status().problem is not None)
            problem = recorder.status().problem or ""
        finally:
            postgres.freeze(frozen=False)
        told.wait_for(2)

    assert problem.endswith("no answer within 2 s")
    assert recorded_s < AT_ONCE_S
    assert [day.windows for day in read(url, "day")] == [2]


def test_a_file_that_is_no_database_is_told_and_a_new_one_in_its_place_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_text("no database at all, whatever its name says" * 100)
    told = Told()

    with Recorder(sqlite_url(path), kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        status = recorder.status()
        path.unlink()
        told.wait_for(1)

    assert (status.problem or "").endswith("file is not a database")
    assert (status.buffered, status.dropped) == (1, 0)


def test_a_file_that_is_damaged_while_it_is_used_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    record(sqlite_url(path), *(window() for _ in range(100)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    told = Told()

    with Recorder(sqlite_url(path), kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        status = recorder.status()
        path.write_bytes(whole)
        told.wait_for(1)

    assert "malformed" in (status.problem or "")
    assert (status.buffered, status.dropped) == (1, 0)
    assert [day.windows for day in read(sqlite_url(path), "day")] == [101]


def test_nothing_is_written_to_a_file_that_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    told = Told()

    with Recorder(sqlite_url(path), kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        told.wait_for(1)
        for file in tmp_path.glob("history.sqlite*"):
            file.unlink()
        recorder.record(window())
        told.wait_for(2)

    assert [day.windows for day in read(sqlite_url(path), "day")] == [1]


READ_ONLY = """
import os
import pwd
import sys
from pathlib import Path
from service.history.recorder import Recorder
from service.history.urls import sqlite_url
from tests.service.history.parts import kept_for_ever, until_true, window
if os.geteuid() == 0:
    os.setuid(pwd.getpwnam("nobody").pw_uid)  # root may write to anything
with Recorder(sqlite_url(Path(sys.argv[1])), kept_for_ever()) as recorder:
    recorder.record(window())
    until_true(lambda: recorder.status().problem is not None)
    print(recorder.status().problem, recorder.status().buffered)
    recorder.close(0.1)
"""


def test_a_file_that_may_not_be_written_to_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        path = Path(folder) / "history.sqlite"
        record(sqlite_url(path), window())
        path.chmod(0o444)
        path.parent.chmod(0o555)

        command = [sys.executable, "-c", READ_ONLY, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        path.parent.chmod(0o755)

    assert re.search(r"attempt to write a readonly database 1$|unable to open database file 1$", done.stdout.strip())


def test_a_locked_file_is_told_and_stored_to_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    url = sqlite_url(path)
    record(url, window())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    told = Told()

    with Recorder(url, replace(kept_for_ever(), timeout_s=0.2), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        problem = recorder.status().problem or ""
        holder.close()
        told.wait_for(1)

    assert problem.endswith("database is locked")


def test_a_listener_that_fails_changes_nothing(url: URL, caplog: pytest.LogCaptureFixture) -> None:
    def fail(identities: Sequence[UUID]) -> None:
        raise RuntimeError(f"{len(identities)} are too many")

    with Recorder(url, kept_for_ever(), stored=fail) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().stored == 1)
        recorder.record(window())
        until_true(lambda: recorder.status().stored == 2)

    assert caplog.messages == ["history: whoever is told of stored windows failed"] * 2
    assert recorder.status().problem is None


END_AT_COMMIT = """
CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER end_at_commit AFTER INSERT ON history_windows DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION end_connection();
"""


@pytest.fixture
def lost_at_commit(new_schema: NewDatabase) -> URL:
    """A database whose connections end whenever windows are committed, until the trigger is dropped."""
    url = new_schema()
    execute(url, END_AT_COMMIT)
    return url


def execute(url: URL, statement: str) -> None:
    database = Database(url, timeout_s=1)
    upgrade(database)
    with database.transaction() as connection:
        connection.execute(text(statement))
    database.close()


def test_a_commit_whose_outcome_is_not_known_says_so(lost_at_commit: URL) -> None:
    database = Database(lost_at_commit, timeout_s=1)
    insert = text(
        "INSERT INTO history_windows VALUES (gen_random_uuid(), 'tiny', 1, now(), now(), 1, 0, decode('00', 'hex'))"
    )

    with pytest.raises(HistoryUnavailable) as lost, database.transaction() as connection:
        connection.execute(insert)
    database.close()

    assert not lost.value.outcome_known


def test_a_window_whose_commit_was_lost_is_stored_once(lost_at_commit: URL) -> None:
    told = Told()

    with Recorder(lost_at_commit, kept_for_ever(), stored=told) as recorder:
        recorder.record(window())
        until_true(lambda: recorder.status().problem is not None)
        execute(lost_at_commit, "DROP TRIGGER end_at_commit ON history_windows")
        told.wait_for(1)

    assert [day.windows for day in read(lost_at_commit, "day")] == [1]


def test_a_window_that_may_have_been_stored_and_deleted_is_not_counted_twice(lost_at_commit: URL) -> None:
    old, young = window(NOON - timedelta(days=2)), window(datetime.now(UTC))
    options = replace(HURRIED, retention=Retention(windows=timedelta(days=1)))
    told = Told()

    with Recorder(lost_at_commit, options, stored=told) as recorder:
        recorder.record(old)
        until_true(lambda: recorder.status().problem is not None)
        recorder.record(young)
        execute(lost_at_commit, "DROP TRIGGER end_at_commit ON history_windows")
        told.wait_for(1)
        until_true(lambda: recorder.status().buffered == 0)

    assert told.identities == [young.id]
    assert recorder.status().dropped == 1
