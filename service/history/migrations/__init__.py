"""This package is the schema of the history, one change after the other, for Alembic."""
