"""This module is an open database: transactions that end in time, and one error for all that can go wrong with it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import URL, Connection, Dialect, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import HistoryUnavailable
from service.history.deadline import Deadline
from service.history.postgresql import cut_postgresql, open_postgresql
from service.history.sqlite import READ_ONLY, interrupt_sqlite, open_sqlite
from service.history.urls import shown


class Database:
    """A database whose transactions may be used from any thread, and which has to be closed.

    Args:
        url: Of SQLite or PostgreSQL, from ``parse_url`` or ``sqlite_url``. Nothing is connected yet.
        timeout_s: Of connecting, of every statement and of every lock; a whole transaction, connecting included, ends
            after twice as long.

    Raises:
        HistoryUnavailable: If the folder of an SQLite file can't be made.
    """

    def __init__(self, url: URL, *, timeout_s: float) -> None:
        self.url = url
        sqlite = url.get_backend_name() == "sqlite"
        self._engine = (open_sqlite if sqlite else open_postgresql)(url, timeout_s=timeout_s)
        self._cut = interrupt_sqlite if sqlite else cut_postgresql
        self._timeout_s = timeout_s
        self._here = threading.local()
        event.listen(self._engine, "do_connect", self._connect)

    @contextlib.contextmanager
    def transaction(self, *, read_only: bool = False, patience: float = 1) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, unless that fails.

        Args:
            read_only: Whether it takes no lock to write; SQLite has to know.
            patience: How many times as long as usual it may take.

        Raises:
            HistoryUnavailable: If the database can't be reached, does not answer in time, refuses, or is damaged.
            ValueError: If the database works, but a value can't be kept in it.
        """
        committing = False
        with Deadline(2 * self._timeout_s * patience, self._cut) as deadline:
            self._here.deadline = deadline
            try:
                with self._engine.connect().execution_options(**{READ_ONLY: read_only}) as connection:
                    deadline.watch(connection.connection.driver_connection)
                    connection.begin()
                    yield connection
                    committing = True
                    connection.commit()
            except OverflowError as error:  # what SQLite's driver says of large numbers
                raise ValueError(str(error)) from error
            except SQLAlchemyError as error:
                if _is_about_values(error):
                    raise ValueError(_first_line(error)) from error
                raise HistoryUnavailable(self._sentence(error, deadline), outcome_known=not committing) from error
            finally:
                self._here.deadline = None

    def close(self) -> None:
        """Close the connections that nobody uses; the others are closed when they are given back."""
        self._engine.dispose()

    def _connect(
        self, dialect: Dialect, _record: ConnectionPoolEntry, arguments: list[Any], named: dict[str, Any]
    ) -> Any:  # noqa: ANN401  a connection of any driver
        # SQLAlchemy asks a new connection a few things before it hands it out, and the answers may not come either
        connection = dialect.connect(*arguments, **named)
        if (deadline := getattr(self._here, "deadline", None)) is not None:
            deadline.watch(connection)
        return connection

    def _sentence(self, error: SQLAlchemyError, deadline: Deadline) -> str:
        if deadline.expired:
            return f"{shown(self.url)}: no answer within {deadline.seconds:g} s"
        return f"{shown(self.url)}: {_first_line(error)}"


def _is_about_values(error: SQLAlchemyError) -> bool:
    if isinstance(error, DBAPIError):
        return isinstance(error, (DataError, IntegrityError))
    return isinstance(error, StatementError)


def _first_line(error: SQLAlchemyError) -> str:
    """What the driver said; SQLAlchemy adds the statement, and drivers hints."""
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return lines[0].strip()
