"""This module is what Alembic runs; the connection comes from ``schema.py``, which holds the lock and commits."""

from __future__ import annotations

from alembic import context

from service.history.tables import SCHEMA_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=SCHEMA_TABLE
)
with context.begin_transaction():
    context.run_migrations()
