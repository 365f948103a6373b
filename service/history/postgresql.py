"""This module opens PostgreSQL databases, so that none is waited for without end and what was committed stays.

Each transaction sets its timeouts itself (``SET LOCAL`` in effect): that is all that poolers such as PgBouncer let
through. A server that is set not to wait for its disk at commit is told to do so for what is written here.

Source: https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

_BEGIN = """
SELECT set_config('statement_timeout', %(timeout)s, true),
       set_config('lock_timeout', %(timeout)s, true),
       set_config('idle_in_transaction_session_timeout', %(timeout)s, true),
       set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                  ELSE current_setting('synchronous_commit') END, true)
"""


def open_postgresql(url: URL, *, timeout_s: float) -> Engine:
    """An engine that connects with its first transaction.

    Args:
        url: What it says of timeouts and encryption wins over what is set here.
        timeout_s: Of connecting (at least two, in whole seconds) and of every statement and lock.
    """
    defaults = {
        "connect_timeout": str(max(2, math.ceil(timeout_s))),
        "application_name": "bnserve",
        # the wheels' Kerberos can crash the process: github.com/psycopg/psycopg/issues/1213
        "gssencmode": "disable",
        "keepalives_idle": "30",
        "tcp_user_timeout": str(round(2000 * timeout_s)),
    }
    arguments: dict[str, Any] = {key: value for key, value in defaults.items() if key not in url.query}
    engine = create_engine(
        url,
        connect_args={**arguments, "prepare_threshold": None},  # poolers may not know what another session prepared
        isolation_level="READ COMMITTED",  # what was merged by another while a lock was waited for must be seen
        pool_timeout=timeout_s,
        hide_parameters=True,
    )
    timeouts = {"timeout": str(round(1000 * timeout_s))}

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_BEGIN, timeouts)

    event.listen(engine, "begin", begin)
    return engine


def cut_postgresql(connection: Any) -> None:  # noqa: ANN401  a connection of any driver
    """Shut the socket, so that whoever waits for it finds it closed; what it runs on does not matter."""
    with (
        contextlib.suppress(Exception),  # it may be closed already, by anyone, in any way
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)
