"""This module writes windows to a database in the background, so that no request ever waits for it or fails by it.

``record`` puts a window into a buffer. A thread connects, brings the schema up to date, stores what waits, and now and
then deletes what is old. While the database is away windows wait in the buffer, and the thread tries again and again.
A window leaves the buffer only when the database has committed it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy import URL

from service.errors import HistoryUnavailable
from service.history.buffer import Buffer
from service.history.database import Database
from service.history.period import Resolution
from service.history.recorder_options import RecorderOptions
from service.history.recorder_status import RecorderStatus
from service.history.retention import delete_expired
from service.history.schema import upgrade
from service.history.storing import store
from service.history.urls import shown
from service.history.window import Window

TOGETHER_WINDOWS = 256
"""Most windows of one transaction; fewer while transactions fail, as a slow database may not manage more in time."""

TOGETHER_BYTES = 8 * 2**20
RETENTION_EVERY_S = 60.0
DELETED_AT_ONCE = 200

_RESOLUTIONS: Sequence[Resolution] = ("window", "minute", "hour", "day")

log = logging.getLogger(__name__)


class Recorder:
    """Stores windows from its own thread; has to be closed. Every process has its own, on one database.

    Args:
        url: From ``parse_url`` or ``sqlite_url``.
        options: How it works.
        stored: Told, from the recorder's thread, which windows are in the database, after it has committed them.
    """

    def __init__(
        self,
        url: URL,
        options: RecorderOptions | None = None,
        *,
        stored: Callable[[Sequence[UUID]], None] | None = None,
    ) -> None:
        self._url = url
        self._options = options or RecorderOptions()
        self._told = stored
        self._buffer = Buffer(self._options.limits)
        self._status = RecorderStatus(shown(url))
        self._lock = threading.Lock()  # of the status
        self._closing = threading.Event()
        self._given_up = threading.Event()
        # a database that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._database: Database | None = None
        self._together = TOGETHER_WINDOWS
        self._in_doubt: set[UUID] = set()
        self._failures = 0
        self._expire_at = time.monotonic()
        self._expiring: deque[Resolution] = deque()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to connect and to store; to be called once."""
        self._thread.start()

    def record(self, window: Window) -> None:
        """Have a window stored as soon as may be. Never waits and never raises; any thread may call."""
        self._drop(self._buffer.add(window))

    def status(self) -> RecorderStatus:
        """How it does now."""
        with self._lock:
            return replace(self._status, buffered=len(self._buffer))

    def close(self, flush_s: float = 5.0) -> None:
        """Take no further window, store those that wait if that is possible in time, and end; blocks as long.

        Args:
            flush_s: How long to try. What is left then is dropped, and the log says how much.
        """
        if self._given_up.is_set():
            return
        self._buffer.close()
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(flush_s)
        self._given_up.set()
        if left := self._buffer.clear():
            self._drop(left)
            log.warning("history: %d windows were not stored when the service ended", left)

    def _run(self) -> None:
        while not self._given_up.is_set():
            try:
                self._turn()
            except HistoryUnavailable as error:
                self._lose(str(error))
            except Exception as error:  # a mistake of ours may end what a turn does, not the recorder
                log.exception("history: unexpected error")
                self._lose(f"{self._status.url}: unexpected error: {error!r}")
            else:
                if self._closing.is_set() and not len(self._buffer):
                    break
        if self._database is not None:
            self._database.close()

    def _turn(self) -> None:
        if self._database is None:
            self._database = self._open()
        self._store_some(self._database)
        self._expire_some(self._database)
        self._regain()
        if not self._closing.is_set() and not self._expiring:
            self._buffer.wait(max(0.0, self._expire_at - time.monotonic()))

    def _open(self) -> Database:
        database = Database(self._url, timeout_s=self._options.timeout_s)
        try:
            upgrade(database)
        except BaseException:
            database.close()
            raise
        return database

    def _store_some(self, database: Database) -> None:
        batch = self._buffer.take(self._together, TOGETHER_BYTES)
        if not batch:
            return
        try:
            self._store(database, batch)
        except HistoryUnavailable:
            self._together = max(1, len(batch) // 2)
            self._drop(self._buffer.put_back(batch))
            raise
        except Exception as error:  # noqa: BLE001  a window that can't be stored must not keep the others from it
            self._together = max(1, len(batch) // 2)  # until the one that is refused is alone
            if len(batch) > 1:
                self._drop(self._buffer.put_back(batch))
            else:
                log.error("history: window %s of %s was refused: %r", batch[0].id, batch[0].model, error)
                self._drop(1)
                self._buffer.done(batch)
        else:
            self._together = min(TOGETHER_WINDOWS, 2 * self._together)
            self._buffer.done(batch)

    def _store(self, database: Database, batch: Sequence[Window]) -> None:
        identities = [window.id for window in batch]
        storable = [window for window in batch if not self._may_be_forgotten(window)]
        try:
            with database.transaction() as connection:
                store(connection, storable)
        except HistoryUnavailable as error:
            if not error.outcome_known:
                self._in_doubt.update(identities)
            raise
        self._in_doubt.difference_update(identities)
        with self._lock:
            self._status = replace(
                self._status,
                stored=self._status.stored + len(storable),
                dropped=self._status.dropped + len(batch) - len(storable),
                last_stored=datetime.now(UTC),
            )
        self._tell([window.id for window in storable])

    def _tell(self, identities: Sequence[UUID]) -> None:
        if self._told is not None:
            try:
                self._told(identities)
            except Exception:  # what is stored is stored, whatever becomes of the news
                log.exception("history: whoever is told of stored windows failed")

    def _may_be_forgotten(self, window: Window) -> bool:
        """Whether a window may have been stored, and its id deleted since, so that it would be counted twice."""
        oldest = datetime.now(UTC) - self._options.retention.windows
        return window.id in self._in_doubt and window.until < oldest

    def _expire_some(self, database: Database) -> None:
        """Delete a little of what is old, if it is time; the next turn goes on."""
        if time.monotonic() >= self._expire_at:
            self._expire_at = time.monotonic() + RETENTION_EVERY_S
            self._expiring = deque(_RESOLUTIONS)
        if self._expiring and not self._closing.is_set():
            retention, now = self._options.retention, datetime.now(UTC)
            with database.transaction() as connection:
                deleted = delete_expired(connection, retention, self._expiring[0], now=now, most=DELETED_AT_ONCE)
            if deleted < DELETED_AT_ONCE:
                self._expiring.popleft()

    def _lose(self, problem: str) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._failures += 1
        with self._lock:
            known = self._status.problem is not None
            self._status = replace(self._status, connected=False, problem=problem)
        if not known:
            log.warning("history: %s; windows wait in memory until it is back", problem)
        if self._closing.is_set():
            self._given_up.wait(self._options.backoff.delay_s(1))  # there is little time left
        else:
            self._closing.wait(self._options.backoff.delay_s(self._failures))

    def _regain(self) -> None:
        self._failures = 0
        with self._lock:
            before = self._status
            self._status = replace(before, connected=True, problem=None)
        if not before.connected:
            again = " again" if before.problem is not None else ""
            log.info("history: windows go to %s%s", before.url, again)

    def _drop(self, count: int) -> None:
        if count:
            with self._lock:
                self._status = replace(self._status, dropped=self._status.dropped + count)
