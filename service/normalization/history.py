"""This module keeps the windows of all versions in a database, and reads them again.

The database's library takes longer to import than the service to start, and a database need not be there at all. So
nothing of it is touched before the service is ready.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from service.errors import HistoryUnavailable
from service.inference.served_model import ServedModel
from service.normalization.judgement import Judge
from service.normalization.seen import ClosedWindow

if TYPE_CHECKING:
    from sqlalchemy import URL

    from service.history.period import Period, Resolution
    from service.history.reader import Reader
    from service.history.recorder import Recorder
    from service.history.recorder_status import RecorderStatus

NONE = "none"

log = logging.getLogger(__name__)


class History:
    """The windows of all versions; has to be closed.

    Args:
        url: Of the database; empty for an SQLite file beside the store, ``none`` for no history.
        store: Where the bundles are.
    """

    def __init__(self, url: str, store: Path) -> None:
        self._text = url
        self._store = store
        self._lock = threading.Lock()
        self._recorder: Recorder | None = None
        self._reader: Reader | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to store windows; takes as long as an import does."""
        if self._text == NONE:
            return
        from service.history.recorder import Recorder  # noqa: PLC0415  see above

        with self._lock:
            if not self._closed:
                self._recorder = Recorder(self._url())
                self._recorder.start()

    def record(self, served: ServedModel, judge: Judge, window: ClosedWindow) -> None:
        """Have a window stored as soon as may be; never waits and never raises."""
        if self._recorder is None:
            return
        from service.history.window import Window  # noqa: PLC0415

        sight = window.sight
        assert sight.since is not None, "it has rows"
        assert sight.until is not None, "it has rows"
        self._recorder.record(
            Window(
                id=uuid4(),
                model=served.name,
                version=served.manifest.version,
                since=datetime.fromtimestamp(sight.since, UTC),
                until=datetime.fromtimestamp(sight.until, UTC),
                rows=sight.rows,
                rows_not_finite=sight.not_finite,
                layers=sight.moments.of_inputs(judge.columns, served.watched),
            )
        )

    def read(
        self,
        served: ServedModel,
        since: datetime,
        until: datetime,
        resolution: Resolution | Literal["auto"],
        limit: int,
    ) -> Sequence[Period]:
        """What a version saw in some time; arguments and errors are those of the reader.

        Raises:
            HistoryUnavailable: If there is no history, or its database is away.
        """
        if self._text == NONE:
            raise HistoryUnavailable("history_url: expected the URL of a database, it is none: no history is kept")
        with self._lock:
            if self._reader is None:
                from service.history.reader import Reader  # noqa: PLC0415

                self._reader = Reader(self._url())
        return self._reader.read(served.name, served.manifest.version, since, until, resolution, limit)

    def status(self) -> RecorderStatus | None:
        """How storing does; None where nothing is stored."""
        return None if self._recorder is None else self._recorder.status()

    def close(self) -> None:
        """Store what waits, if that is possible soon, and end; blocks as long."""
        with self._lock:  # it may be starting
            self._closed = True
        if self._recorder is not None:
            self._recorder.close()
        if self._reader is not None:
            self._reader.close()

    def _url(self) -> URL:
        from service.history.urls import parse_url, sqlite_url  # noqa: PLC0415

        if self._text:
            return parse_url(self._text)
        return sqlite_url(self._store.with_name(f"{self._store.name}-history.sqlite"))


def refuse_unknown_url(text: str) -> None:
    """Raise ValueError if a setting names no database that can be used; the text never repeats it."""
    if text and text != NONE:
        from service.history.urls import parse_url  # noqa: PLC0415

        parse_url(text)
