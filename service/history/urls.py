"""This module reads the URL of a database: which ones are taken, and how one is shown without its password."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

EXPECTED = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_SECRET = ("password", "sslpassword")


def parse_url(text: str) -> URL:
    """Read the URL of a database.

    Args:
        text: As in ``sqlite:////var/lib/history.sqlite`` (four slashes: an absolute path) or
            ``postgresql://user:password@host:5432/database?sslmode=require``.

    Raises:
        ValueError: If it is none, of another database, of a database in memory, or if psycopg is not installed; the
            text never repeats the URL, in which there may be a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"expected {EXPECTED}, got no URL") from error
    if url.drivername in _POSTGRESQL:
        if find_spec("psycopg") is None:
            raise ValueError("PostgreSQL needs psycopg, which is not installed: pip install 'bnserve[postgres]'")
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in _SQLITE:
        raise ValueError(f"expected {EXPECTED}, got a URL of {url.drivername}")
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise ValueError("expected the path of a file behind sqlite:///, got none")
    if url.query:
        raise ValueError("expected nothing behind the path of an SQLite file, got parameters")
    return sqlite_url(Path(url.database))


def sqlite_url(path: Path) -> URL:
    """The URL of an SQLite file, which need not exist."""
    return URL.create("sqlite", database=str(path))


def shown(url: URL) -> str:
    """A URL for people, without any password."""
    query = {key: value for key, value in url.query.items() if key not in _SECRET}
    return url.set(query=query).render_as_string(hide_password=True)
