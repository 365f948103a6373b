"""This module makes the tables of windows and periods."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables with their indexes."""
    # a copy, not service.history.tables: what that becomes later must not change what was done here
    time = sa.DateTime(timezone=True)
    op.create_table(
        "history_windows",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("since", time, nullable=False),
        sa.Column("until", time, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("rows_not_finite", sa.BigInteger, nullable=False),
        sa.Column("moments", sa.LargeBinary, nullable=False),
    )
    op.create_index("history_windows_by_model", "history_windows", ["model", "version", "until", "since"])
    op.create_index("history_windows_by_age", "history_windows", ["until"])
    op.create_table(
        "history_periods",
        sa.Column("model", sa.String(128), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("resolution", sa.String(8), primary_key=True),
        sa.Column("since", time, primary_key=True),
        sa.Column("first_row_at", time, nullable=False),
        sa.Column("last_row_at", time, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("rows_not_finite", sa.BigInteger, nullable=False),
        sa.Column("windows", sa.BigInteger, nullable=False),
        sa.Column("moments", sa.LargeBinary, nullable=False),
    )
    op.create_index("history_periods_by_age", "history_periods", ["resolution", "since"])


def downgrade() -> None:
    """Drop both tables, and with them the history."""
    op.drop_table("history_periods")
    op.drop_table("history_windows")
