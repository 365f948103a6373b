"""This module recalibrates a version that is served: in a process of its own, and one at a time.

Recalibration takes seconds of all CPUs and a batch's worth of activations, in libraries that serving does not need. A
process keeps all of that out of the one that serves; see ``recalibration_process.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path

from service.errors import DeadlineExceeded, Overloaded
from service.normalization.recalibration_task import Arrays, Published, RecalibrationTask, pack_task, read_answer

PROCESS = "service.normalization.recalibration_process"
END_S = 5.0
"""How long the process may take to end once it is told to; a run of the graph can't be interrupted."""
RETRY_AFTER_S = 5.0
"""When it is worth asking again whether another recalibration is over."""

log = logging.getLogger(__name__)


class Recalibrations:
    """Recalibrates, one version at a time.

    Args:
        timeout_s: How long one may take.
        lock: A file that several processes of one service have in common, so that one of them recalibrates at a time;
            None where there is one process.
    """

    def __init__(self, timeout_s: float, lock: Path | None = None) -> None:
        self._timeout_s = timeout_s
        self._lock = lock
        self._busy = False

    async def run(self, task: RecalibrationTask, arrays: Arrays) -> Published:
        """Recalibrate a version of the store, and publish the next one.

        Args:
            task: Which version, and how.
            arrays: The rows of every input, and the labels if the task names any.

        Raises:
            Overloaded: If another one is under way.
            InvalidRequest: If it can't be done with these rows, or should not be; the text says why.
            DeadlineExceeded: If it takes too long; it is stopped.
            NotFound: If the store no longer has that version.
            NotReady: If that version is damaged.
            StoreUnwritable: If the store can't be written to.
            EngineError: If the process fails.
        """
        with self._turn():
            packed = await asyncio.to_thread(pack_task, task, arrays)
            published = read_answer(await self._ask(packed))
        log.info(
            "model %s version %d was recalibrated on %d rows, version %d is a candidate",
            *(task.model, task.version, published.record.rows, published.version),
        )
        return published

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the only one for as long as this lasts."""
        if self._busy:
            raise _under_way()
        self._busy = True
        try:
            with _locked(self._lock):
                yield
        finally:
            self._busy = False

    async def _ask(self, packed: bytes) -> bytes:
        """What a process answers; nothing is left of it after that."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROCESS),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # Ctrl-C is for the service, which answers what is under way
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                answer, complaints = await _converse(process, packed)
                await process.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"recalibration: expected it to take at most {self._timeout_s:g} s (recalibration_timeout_s), "
                "it was stopped"
            ) from error
        finally:
            await _end(process)
        if process.returncode:
            text = complaints.decode(errors="replace")
            log.error("the process that recalibrates ended with exit code %d: %s", process.returncode, text)
        return answer


async def _converse(process: Process, packed: bytes) -> tuple[bytes, bytes]:
    """Hand a task over, and read all that the process writes; its input stays open, which is what it lives by."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        answer, complaints = group.create_task(process.stdout.read()), group.create_task(process.stderr.read())
        process.stdin.write(packed)
        with contextlib.suppress(ConnectionError):  # it has ended already, and says why
            await process.stdin.drain()
    return answer.result(), complaints.result()


async def _end(process: Process) -> None:
    """Let a process end, and see to it that it does."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


@contextlib.contextmanager
def _locked(path: Path | None) -> Iterator[None]:
    """Hold a file that only one process can hold."""
    if path is None:
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _under_way() from error
        yield


def _under_way() -> Overloaded:
    return Overloaded("recalibration: expected one at a time, another one is under way", retry_after_s=RETRY_AFTER_S)
